//! Decides whether a list of teams, pipelines, suites or registries shows all of them, by the owner's role after its last window.
//!
//! If the token's owner is not an organization admin, secret teams are missing from the list of teams, and what the owner's teams do
//! not reach is missing from the others. The list does not show that. A role
//! that was read before a list proves nothing about its later windows. So the owner's record is read again after the last window:
//! one request per list. Concurrent lists share a record that was requested after they ended.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::credential_status::{EVIDENCE_MAX_AGE, owner_role};
use super::error_meaning::{Subject, from_api};
use super::{ApiError, ApiErrorKind, Buildkite, CurrentUser, UserId};
use crate::governance::model::ResourceTypeInfo;
use crate::governance::provider::{ListStage, OwnerRole};
use crate::governance::{CallContext, GovernanceError, PartialVisibility};

/// The role of each owner as it was read last after such a list, and when it was requested.
#[derive(Debug, Default)]
pub(crate) struct RoleAfterLists {
    last: Mutex<HashMap<Option<UserId>, (Instant, OwnerRole)>>,
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
        if self.partial_visibility == PartialVisibility::Allow {
            return Ok(());
        }
        if status.owner_role == OwnerRole::Member {
            return Err(GovernanceError::PartialVisibility {
                resource_type,
                owner: status.owner_label(),
            });
        }
        let answering = self.client.responsible(call);
        for position in self.readers(call) {
            if position != answering && self.recent_role(position, max_age, call).await? == OwnerRole::Member {
                return Err(self.partial_visibility_error(resource_type, position));
            }
        }
        Ok(())
    }

    /// The credentials that may serve a list of this call, one for each owner: those that read, even if they were left out
    /// meanwhile.
    fn readers(&self, call: &CallContext) -> Vec<usize> {
        let mut owners = Vec::new();
        let mut readers = self.client.may_have_served(call);
        readers.retain(|position| {
            let owner = self.owner_of(*position).map(|owner| owner.id);
            let is_new = !owners.contains(&owner);
            owners.push(owner);
            is_new
        });
        readers
    }

    /// The role of a credential's owner, at most `max_age` old.
    async fn recent_role(
        &self,
        position: usize,
        max_age: Duration,
        call: &CallContext,
    ) -> Result<OwnerRole, GovernanceError> {
        let seen = self.recorder.evidence(position).owner_role;
        match seen.filter(|seen| seen.since.elapsed() <= max_age) {
            Some(seen) => Ok(seen.outcome.unwrap_or(OwnerRole::Unknown)),
            None => self.role_now(self.owner_of(position).map(|owner| owner.id), call).await,
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
        for position in self.readers(call) {
            let owner = self.owner_of(position).map(|owner| owner.id);
            let mut last = self.role_after_lists.last.lock().await;
            let role = match last.get(&owner) {
                Some((requested_at, role)) if *requested_at >= list_ended => *role,
                _ => {
                    let requested_at = Instant::now();
                    let role = self.role_now(owner, call).await?;
                    last.insert(owner, (requested_at, role));
                    role
                }
            };
            drop(last);
            if role == OwnerRole::Member {
                return Err(self.partial_visibility_error(resource_type, position));
            }
        }
        Ok(())
    }

    /// The role of the owner of the token that answers for this call, as by [`Self::role_now`].
    ///
    /// # Errors
    /// As for [`Self::role_now`].
    pub(crate) async fn fetch_owner_role(&self, call: &CallContext) -> Result<OwnerRole, GovernanceError> {
        let owner = self.owner_of(self.client.responsible(call));
        self.role_now(owner.map(|owner| owner.id), call).await
    }

    /// The owner of the token at a position, if they were read.
    pub(super) fn owner_of(&self, position: usize) -> Option<CurrentUser> {
        self.recorder.evidence(position).user?.outcome.ok()
    }

    /// The role of an owner in the organization, by at most one request that is sent after this call: the owner themselves
    /// never changes. `Unknown` if the owner is not known, or their role is not shown.
    ///
    /// # Errors
    /// Any other failure to read their record.
    pub(super) async fn role_now(
        &self,
        owner: Option<UserId>,
        call: &CallContext,
    ) -> Result<OwnerRole, GovernanceError> {
        let Some(owner) = owner else {
            return Ok(OwnerRole::Unknown);
        };
        // Not coalesced: a request that is in flight already may be older than the list's last window.
        match self.client.organization_member(owner, &call.uncoalesced()).await {
            Ok(record) => Ok(owner_role(&record)),
            Err(ApiError {
                kind: ApiErrorKind::Forbidden | ApiErrorKind::NotFound,
                ..
            }) => Ok(OwnerRole::Unknown),
            Err(error) => Err(from_api(error, Subject::Other, None)),
        }
    }

    /// The e-mail address or name of the owner of the token at a position.
    pub(super) fn owner_label(&self, position: usize) -> String {
        let label = self.owner_of(position).and_then(|owner| owner.email.or(owner.name));
        label.unwrap_or_else(|| "(unknown)".to_owned())
    }

    fn partial_visibility_error(&self, resource_type: &'static ResourceTypeInfo, position: usize) -> GovernanceError {
        GovernanceError::PartialVisibility {
            resource_type,
            owner: self.owner_label(position),
        }
    }
}
