//! Interprets a rejected write: the level was held already, the principal is absent, or Buildkite rejects it.

use super::execute::Operation;
use super::plan::Write;
use crate::governance::GovernanceError;
use crate::governance::model::{Level, ResourceId, ResourceKind};
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
        if matches!(write, Write::Add(_)) && self.principal_is_absent().await {
            return Err(absent_principal(
                self.membership.principal,
                self.labels.principal.clone(),
            ));
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

    /// The error for a POST that was forbidden: because the principal is absent, or because the token lacks the permission. The
    /// POST is never repeated.
    pub(crate) async fn after_forbidden_add(&self, failure: Failure) -> GovernanceError {
        if self.principal_is_absent().await {
            absent_principal(self.membership.principal, self.labels.principal.clone())
        } else {
            self.explain(failure).await
        }
    }

    /// Whether the principal is proven absent. If that cannot be determined, the rejection is reported as it is.
    async fn principal_is_absent(&self) -> bool {
        let absent = self
            .provisioning
            .listings
            .is_absent(self.membership.principal, &self.call)
            .await;
        absent.unwrap_or_else(|error| {
            tracing::debug!(%error, "it could not be determined whether the principal exists");
            false
        })
    }
}

/// The error for a principal that is proven absent: a user outside the organization, whom messages name `label`, or a group that no
/// longer exists.
pub(crate) fn absent_principal(principal: ResourceId, label: String) -> GovernanceError {
    match principal.resource_type.kind {
        ResourceKind::User => GovernanceError::UserNotInOrganization { user: label },
        _ => GovernanceError::ResourceNotFound { resource: principal },
    }
}
