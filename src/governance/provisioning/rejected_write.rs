//! What a rejected write means: the role was held already, the user is not in the organization, or Buildkite refuses.

use super::execute::Operation;
use super::plan::Write;
use crate::governance::GovernanceError;
use crate::governance::model::Level;
use crate::governance::provider::{Failure, FailureClass};

impl Operation<'_> {
    /// A 404, 409 or 422 is checked against what is so now: it may be what was wanted. Where it is not, the refusal stands.
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
        // Where our own lost write may be what was refused to be done again, it is given all the time that writes may take.
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

    /// A POST that was forbidden: because of whom it was about, or because of who asked. It is never sent again.
    pub(crate) async fn after_forbidden_add(&self, failure: Failure) -> GovernanceError {
        if self.user_is_outsider().await {
            self.not_in_organization()
        } else {
            self.explain(failure).await
        }
    }

    /// Whether that is proven. Where it cannot be found out, the refusal stands as it is.
    async fn user_is_outsider(&self) -> bool {
        let outside = self
            .provisioning
            .listings
            .is_absent(self.membership.principal, &self.call)
            .await;
        outside.unwrap_or_else(|error| {
            tracing::debug!(%error, "whether the person is in the organization could not be found out");
            false
        })
    }

    fn not_in_organization(&self) -> GovernanceError {
        GovernanceError::UserNotInOrganization {
            person: self.user_label.clone(),
        }
    }
}
