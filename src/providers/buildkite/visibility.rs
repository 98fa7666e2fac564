//! Decides whether a list of teams, pipelines, suites or registries shows all of them, by the owner's role after its last window.
//!
//! If the token's owner is not an organization admin, secret teams are missing from the list of teams, and what the owner's teams do
//! not reach is missing from the others. The list does not show that. A role
//! that was read before a list proves nothing about its later windows. So the owner's record is read again after the last window:
//! one request per list. Concurrent lists share a record that was requested after they ended.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::credential_status::{EVIDENCE_MAX_AGE, owner_role};
use super::error_meaning::{Subject, from_api};
use super::{ApiError, ApiErrorKind, Buildkite};
use crate::governance::model::ResourceTypeInfo;
use crate::governance::provider::{ListStage, OwnerRole};
use crate::governance::{CallContext, GovernanceError, PartialVisibility};

/// The owner's role as it was read last after such a list, and when it was requested.
#[derive(Debug, Default)]
pub(crate) struct RoleAfterLists {
    last: Mutex<Option<(Instant, OwnerRole)>>,
}

impl Buildkite {
    /// Rejects a list of a type of which only an admin is shown all rows, if the owner is not an admin and a partial view is refused.
    ///
    /// # Errors
    /// `PartialVisibility`, or the failure to read the owner's role.
    pub(super) async fn check_visibility(
        &self,
        resource_type: &'static ResourceTypeInfo,
        stage: ListStage,
        call: &CallContext,
    ) -> Result<(), GovernanceError> {
        let max_age = match stage {
            ListStage::First => EVIDENCE_MAX_AGE,
            // Later pages belong to a view that was checked when the first page was read, unless another process read it.
            ListStage::Later => Duration::MAX,
            ListStage::End => return self.ensure_view_still_complete(resource_type, call).await,
        };
        let status = self.credential_status(max_age, call).await?;
        match (status.owner_role, self.partial_visibility) {
            (OwnerRole::Member, PartialVisibility::Refuse) => Err(GovernanceError::PartialVisibility {
                resource_type,
                owner: status.owner_label(),
            }),
            _ => Ok(()),
        }
    }

    /// Rejects a list whose last window was read if the owner is no longer an admin and a partial view is refused.
    ///
    /// # Errors
    /// `PartialVisibility`, or the failure to read the owner's record.
    async fn ensure_view_still_complete(
        &self,
        resource_type: &'static ResourceTypeInfo,
        call: &CallContext,
    ) -> Result<(), GovernanceError> {
        if self.partial_visibility == PartialVisibility::Allow {
            return Ok(());
        }
        let list_ended = Instant::now();
        let mut last = self.role_after_lists.last.lock().await;
        let role = match *last {
            Some((requested_at, role)) if requested_at >= list_ended => role,
            _ => {
                let requested_at = Instant::now();
                let role = self.fetch_owner_role(call).await?;
                *last = Some((requested_at, role));
                role
            }
        };
        drop(last);
        match role {
            OwnerRole::Member => Err(self.partial_visibility_error(resource_type)),
            OwnerRole::Admin | OwnerRole::Unknown => Ok(()),
        }
    }

    /// The role of the token's owner in the organization, by at most one request that is sent after this call: the owner themselves
    /// never changes. `Unknown` if the owner is not known, or their role is not shown.
    ///
    /// # Errors
    /// Any other failure to read their record.
    pub(crate) async fn fetch_owner_role(&self, call: &CallContext) -> Result<OwnerRole, GovernanceError> {
        let Some(owner) = self.recorder.evidence().user.and_then(|seen| seen.outcome.ok()) else {
            return Ok(OwnerRole::Unknown);
        };
        // Not coalesced: a request that is in flight already may be older than the list's last window.
        match self.client.organization_member(owner.id, &call.uncoalesced()).await {
            Ok(record) => Ok(owner_role(&record)),
            Err(ApiError {
                kind: ApiErrorKind::Forbidden | ApiErrorKind::NotFound,
                ..
            }) => Ok(OwnerRole::Unknown),
            Err(error) => Err(from_api(error, Subject::Other, None)),
        }
    }

    fn partial_visibility_error(&self, resource_type: &'static ResourceTypeInfo) -> GovernanceError {
        let owner = self.recorder.evidence().user.and_then(|seen| seen.outcome.ok());
        let label = owner.and_then(|owner| owner.email.or(owner.name));
        GovernanceError::PartialVisibility {
            resource_type,
            owner: label.unwrap_or_else(|| "(unknown)".to_owned()),
        }
    }
}
