//! Interprets a rejected write: the level was held already, the user is not in the organization, or Buildkite rejects it.

use super::execute::Operation;
use super::plan::Write;
use crate::governance::GovernanceError;
use crate::governance::model::Level;
use crate::governance::provider::{Failure, FailureClass};

impl Operation<'_> {
    /// Reads the level again after a 404, 409 or 422, because the requested state may exist already.
    ///
    /// # Errors
    /// The explained rejection if the level did not change, or the failure to read it.
    pub(crate) async fn recheck_after_rejection(
        &mut self,
        write: Write,
        before: Option<&'static Level>,
        failure: Failure,
    ) -> Result<Option<&'static Level>, GovernanceError> {
        let current = self.poll_level(|_| true, &[]).await?;
        if current != before {
            return Ok(current);
        }
        if matches!(write, Write::Add(_)) && self.user_is_outsider().await {
            return Err(self.not_in_organization());
        }
        let timeouts = self.timeouts();
        // Buildkite may have rejected the repetition of a write whose reply was lost. That write gets the full time to become
        // visible.
        let delays = match self.lost_write {
            Some(lost) if lost == write => timeouts.read_back_delays.as_slice(),
            _ => timeouts.recheck_delays(),
        };
        let current = self.poll_level(|current| current != before, delays).await?;
        if current != before {
            return Ok(current);
        }
        let subject = (failure.class == FailureClass::NotFound).then_some(self.membership.resource.id);
        Err(self.resources.explain(failure, subject, &self.call).await)
    }

    /// The error for a POST that was forbidden: because the user is outside the organization, or because the token lacks the
    /// permission. The POST is never repeated.
    pub(crate) async fn after_forbidden_add(&self, failure: Failure) -> GovernanceError {
        if self.user_is_outsider().await {
            self.not_in_organization()
        } else {
            self.explain(failure).await
        }
    }

    /// Whether the user is proven to be outside the organization. If that cannot be determined, the rejection is reported as it is.
    async fn user_is_outsider(&self) -> bool {
        let outside = self
            .provisioning
            .listings
            .is_absent(self.membership.principal, &self.call)
            .await;
        outside.unwrap_or_else(|error| {
            tracing::debug!(%error, "it could not be determined whether the user is in the organization");
            false
        })
    }

    fn not_in_organization(&self) -> GovernanceError {
        GovernanceError::UserNotInOrganization {
            user: self.user_label.clone(),
        }
    }
}
