//! The guards against locking the connector out: a change must not remove the role by which the token's owner can change a team, a
//! pipeline, a suite or a cluster.

use std::time::Duration;

use super::pagination::Cursor;
use super::{ApiError, ApiErrorKind, Buildkite, TeamId, TokenUser, UserId};
use crate::governance::model::ResourceId;
use crate::governance::provider::{Failure, OwnerRole};
use crate::governance::provisioning::GuardLock;
use crate::governance::{CallContext, GovernanceError};

/// The owner of the token, who is not known to be an organization admin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DependentOwner {
    /// The owner.
    pub(crate) id: UserId,
    label: String,
}

impl DependentOwner {
    /// The error for a change after which the owner could not change the resource.
    pub(crate) fn lockout_error(&self, resource_label: &str) -> GovernanceError {
        GovernanceError::Protected {
            guard: format!(
                "{} owns the connector's token and is not known to be an organization admin, so this change would lock the \
                 connector out of {resource_label}: use an admin's token",
                self.label
            ),
        }
    }
}

impl Buildkite {
    /// Rejects removing the maintainer role from `user` if they own the token and can change the team only by that role.
    ///
    /// # Errors
    /// `Protected`, or the failure to read the owner.
    pub(super) async fn guard_against_self_lockout(
        &self,
        user: UserId,
        team_label: &str,
        call: &CallContext,
    ) -> Result<(), GovernanceError> {
        let is_owner = self.is_token_owner(user, call).await?;
        if !is_owner {
            return Ok(());
        }
        let status = self.credential_status(Duration::ZERO, call).await?;
        if status.owner_role == OwnerRole::Admin {
            return Ok(());
        }
        Err(GovernanceError::Protected {
            guard: format!(
                "{} owns the connector's token and is not known to be an organization admin, so removing their \
                 maintainer role would lock the connector out of {team_label}: use an admin's token",
                status.owner_label(),
            ),
        })
    }

    /// Whether `user` owns the token.
    ///
    /// # Errors
    /// The failure to read the owner.
    pub(super) async fn is_token_owner(&self, user: UserId, call: &CallContext) -> Result<bool, GovernanceError> {
        // The token's owner never changes.
        let status = self.credential_status(Duration::MAX, call).await?;
        match (&status.owner, &status.token.user) {
            (Some(owner), _) => Ok(owner.id == user),
            // Without the scope `read_user` only the owner's address is known; it is compared with that of the user's record.
            (None, Some(TokenUser { email: Some(email), .. })) => self.has_email(user, email, call).await,
            (None, _) => {
                tracing::warn!("the token's owner is not known, so a change of their role cannot be recognised");
                Ok(false)
            }
        }
    }

    /// The owner of the token if they are not an organization admin now, so that they can change `resource` only if their teams or
    /// they themselves manage it; `None` for an admin.
    ///
    /// For such an owner `lock` is acquired for the resource: of two writes at once, the guard of the second reads what the first has
    /// left. The owner's own teams cannot shrink meanwhile, because the connector never takes their role in a team that they maintain,
    /// and cannot change another team.
    ///
    /// # Errors
    /// The failure to read the owner or their role, or to acquire the lock.
    pub(super) async fn dependent_owner(
        &self,
        resource: ResourceId,
        lock: &mut GuardLock,
        call: &CallContext,
    ) -> Result<Option<DependentOwner>, GovernanceError> {
        let status = self.credential_status(Duration::MAX, call).await?;
        let Some(owner) = &status.owner else {
            tracing::warn!(
                "the token's owner is not known, so a change that locks the connector out cannot be recognised"
            );
            return Ok(None);
        };
        let id = owner.id;
        // The role changes, so it is read again before a change.
        if self.fetch_owner_role(call).await? == OwnerRole::Admin {
            return Ok(None);
        }
        lock.acquire(&self.lockout_locks, resource, call).await?;
        Ok(Some(DependentOwner {
            id,
            label: status.owner_label(),
        }))
    }

    /// The teams that a user is in, read now.
    ///
    /// # Errors
    /// The failure to read the list.
    pub(super) async fn teams_of(&self, user: UserId, call: &CallContext) -> Result<Vec<TeamId>, GovernanceError> {
        match self.client.teams_of(user, Cursor::Start, usize::MAX, call).await {
            Ok(teams) => Ok(teams.rows.into_iter().map(|team| team.id).collect()),
            Err(error) => Err(self.explain(Failure::from(error), call).await),
        }
    }

    async fn has_email(&self, user: UserId, email: &str, call: &CallContext) -> Result<bool, GovernanceError> {
        match self.client.organization_member(user, call).await {
            Ok(user) => Ok(user.email.is_some_and(|has| has.eq_ignore_ascii_case(email))),
            Err(ApiError {
                kind: ApiErrorKind::NotFound,
                ..
            }) => Ok(false),
            Err(error) => Err(self.explain(error.into(), call).await),
        }
    }
}
