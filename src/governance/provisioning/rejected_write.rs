//! What a refused write means: that it was so already, that the person is outside, or that Buildkite will not.

use super::execute::Work;
use super::plan::Write;
use crate::governance::GovernanceError;
use crate::providers::buildkite::{ApiError, ApiErrorKind, Role};

impl Work<'_> {
    /// A 404, 409 or 422 is checked against what is so now: it may be what was wanted. Where it is not, the refusal stands.
    pub(crate) async fn after_refusal(
        &mut self,
        write: Write,
        before: Option<Role>,
        error: ApiError,
    ) -> Result<Option<Role>, GovernanceError> {
        let held = self.read_until(|_| true, &[]).await?;
        if held != before {
            return Ok(held);
        }
        if matches!(write, Write::Add(_)) && self.is_outsider().await {
            return Err(self.outsider());
        }
        let patience = &self.access.settings.patience;
        // Where our own lost write may be what was refused to be done again, it is given all the time that writes may take.
        let pauses = match self.lost {
            Some(lost) if lost == write => patience.pauses.as_slice(),
            _ => patience.doubts(),
        };
        let held = self.read_until(|held| held != before, pauses).await?;
        if held != before {
            return Ok(held);
        }
        Err(match error.kind {
            ApiErrorKind::NotFound => self.access.missing_team(self.pair.team, &self.call).await,
            _ => self.access.explain(error, &self.call).await,
        })
    }

    /// A POST that was forbidden: because of whom it was about, or because of who asked. It is never sent again.
    pub(crate) async fn after_forbidden_add(&self, error: ApiError) -> GovernanceError {
        if self.is_outsider().await {
            self.outsider()
        } else {
            self.access.explain(error, &self.call).await
        }
    }

    /// Whether that is proven. Where it cannot be found out, the refusal stands as it is.
    async fn is_outsider(&self) -> bool {
        let outside = self.access.is_outside(self.pair.user, &self.call).await;
        outside.unwrap_or_else(|error| {
            tracing::debug!(%error, "whether the person is in the organization could not be found out");
            false
        })
    }

    fn outsider(&self) -> GovernanceError {
        GovernanceError::UserNotInOrganization {
            person: self.person.clone(),
        }
    }
}
