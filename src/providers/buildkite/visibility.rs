//! Whether a team list shows all teams: what its owner was once its last window was read.
//!
//! A token's owner who is no organization admin is not shown secret teams, and nothing in a list says so. That they were admin
//! before a list was read proves nothing about the windows that followed. So their record is read anew after the last window:
//! one request for a list. A record that was asked for after a list ended vouches for that list, whoever asked for it.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::api_errors::{Subject, from_api};
use super::credential_status::{EVIDENCE_MAX_AGE, owner_role};
use super::{ApiError, ApiErrorKind, Buildkite};
use crate::governance::provider::{ListStage, OwnerRole};
use crate::governance::{CallContext, GovernanceError, PartialVisibility};

/// The owner's role as it was read last behind a team list, and from when on it was asked for.
#[derive(Debug, Default)]
pub(crate) struct RoleAfterLists {
    last: Mutex<Option<(Instant, OwnerRole)>>,
}

impl Buildkite {
    /// Refuses a list of teams if the owner is not an admin and a partial view is refused.
    ///
    /// # Errors
    /// `PartialVisibility`, or what keeps the owner's role from being read.
    pub(super) async fn check_visibility(&self, stage: ListStage, call: &CallContext) -> Result<(), GovernanceError> {
        let max_age = match stage {
            ListStage::First => EVIDENCE_MAX_AGE,
            // Later pages belong to a view that was checked when the first page was read, unless another process read it.
            ListStage::Later => Duration::MAX,
            ListStage::End => return self.ensure_view_still_complete(call).await,
        };
        let status = self.credential_status(max_age, call).await?;
        match (status.owner_role, self.partial_visibility) {
            (OwnerRole::Member, PartialVisibility::Refuse) => Err(GovernanceError::PartialVisibility {
                owner: status.owner_label(),
            }),
            _ => Ok(()),
        }
    }

    /// Refuses a team list of which every window was read, where the owner is no admin any more and a partial view is refused.
    ///
    /// # Errors
    /// `PartialVisibility`, or the trouble that keeps the owner's record from being read.
    async fn ensure_view_still_complete(&self, call: &CallContext) -> Result<(), GovernanceError> {
        if self.partial_visibility == PartialVisibility::Allow {
            return Ok(());
        }
        let list_ended = Instant::now();
        let mut last = self.role_after_lists.last.lock().await;
        let role = match *last {
            Some((asked_at, role)) if asked_at >= list_ended => role,
            _ => {
                let asked_at = Instant::now();
                let role = self.fetch_owner_role(call).await?;
                *last = Some((asked_at, role));
                role
            }
        };
        drop(last);
        match role {
            OwnerRole::Member => Err(self.partial_visibility_error()),
            OwnerRole::Admin | OwnerRole::Unknown => Ok(()),
        }
    }

    /// What the token's owner is in the organization, by a request that is sent after this call: one at most, as whose the
    /// token is does not change. `Unknown` where the owner, or their role, is not told.
    ///
    /// # Errors
    /// Any other trouble with their record.
    pub(crate) async fn fetch_owner_role(&self, call: &CallContext) -> Result<OwnerRole, GovernanceError> {
        let Some(owner) = self.recorder.evidence().user.and_then(|seen| seen.outcome.ok()) else {
            return Ok(OwnerRole::Unknown);
        };
        // Deciding: an answer that is under way already may be older than the list's last window.
        match self.client.organization_member(owner.id, &call.uncoalesced()).await {
            Ok(record) => Ok(owner_role(&record)),
            Err(ApiError {
                kind: ApiErrorKind::Forbidden | ApiErrorKind::NotFound,
                ..
            }) => Ok(OwnerRole::Unknown),
            Err(error) => Err(from_api(error, Subject::Other, None)),
        }
    }

    fn partial_visibility_error(&self) -> GovernanceError {
        let owner = self.recorder.evidence().user.and_then(|seen| seen.outcome.ok());
        let label = owner.and_then(|owner| owner.email.or(owner.name));
        GovernanceError::PartialVisibility {
            owner: label.unwrap_or_else(|| "(unknown)".to_owned()),
        }
    }
}
