//! What a rejected write means: the role was held already, the user is not in the organization, or Buildkite refuses.

use super::execute::Operation;
use super::plan::Write;
use crate::governance::GovernanceError;
use crate::providers::buildkite::{ApiError, ApiErrorKind, Role};

impl Operation<'_> {
    /// A 404, 409 or 422 is checked against what is so now: it may be what was wanted. Where it is not, the refusal stands.
    pub(crate) async fn recheck_after_rejection(
        &mut self,
        write: Write,
        before: Option<Role>,
        error: ApiError,
    ) -> Result<Option<Role>, GovernanceError> {
        let current = self.poll_role(|_| true, &[]).await?;
        if current != before {
            return Ok(current);
        }
        if matches!(write, Write::Add(_)) && self.user_is_outsider().await {
            return Err(self.not_in_organization());
        }
        let timeouts = &self.governance.settings.write_timeouts;
        // Where our own lost write may be what was refused to be done again, it is given all the time that writes may take.
        let delays = match self.lost_write {
            Some(lost) if lost == write => timeouts.read_back_delays.as_slice(),
            _ => timeouts.recheck_delays(),
        };
        let current = self.poll_role(|current| current != before, delays).await?;
        if current != before {
            return Ok(current);
        }
        Err(match error.kind {
            ApiErrorKind::NotFound => {
                self.governance
                    .missing_team_error(self.membership.team, &self.call)
                    .await
            }
            _ => self.governance.call_error(error, &self.call).await,
        })
    }

    /// A POST that was forbidden: because of whom it was about, or because of who asked. It is never sent again.
    pub(crate) async fn after_forbidden_add(&self, error: ApiError) -> GovernanceError {
        if self.user_is_outsider().await {
            self.not_in_organization()
        } else {
            self.governance.call_error(error, &self.call).await
        }
    }

    /// Whether that is proven. Where it cannot be found out, the refusal stands as it is.
    async fn user_is_outsider(&self) -> bool {
        let outside = self.governance.is_outsider(self.membership.user, &self.call).await;
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
