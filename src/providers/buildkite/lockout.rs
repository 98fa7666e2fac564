//! The guards against locking the connector out: a change must not remove the role by which the token's owner can change a team, a
//! pipeline, a suite or a cluster.

use std::time::Duration;

use super::api::client::pool::MemberState;
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
    /// Whether their token makes the change, so that it cannot be made or undone unless they manage the resource. Another one may
    /// only lose what they have.
    pub(crate) makes_the_change: bool,
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
        let Some(position) = self.credential_owned_by(user, call).await? else {
            return Ok(());
        };
        let (owner_role, label) = if self.client.pool().is_single() {
            let status = self.status_of(position, Duration::ZERO, call).await?;
            (status.owner_role, status.owner_label())
        } else {
            (self.role_now(Some(user), call).await?, self.owner_label(position))
        };
        if owner_role == OwnerRole::Admin {
            return Ok(());
        }
        Err(GovernanceError::Protected {
            guard: format!(
                "{label} owns the connector's token and is not known to be an organization admin, so removing their \
                 maintainer role would lock the connector out of {team_label}: use an admin's token",
            ),
        })
    }

    /// Whether `user` owns one of the connector's tokens.
    ///
    /// # Errors
    /// The failure to read the owner.
    pub(super) async fn is_token_owner(&self, user: UserId, call: &CallContext) -> Result<bool, GovernanceError> {
        Ok(self.credential_owned_by(user, call).await?.is_some())
    }

    /// The position of a credential that `user` owns.
    ///
    /// # Errors
    /// The failure to read an owner, unless their token is rejected and another one is used.
    async fn credential_owned_by(&self, user: UserId, call: &CallContext) -> Result<Option<usize>, GovernanceError> {
        for position in 0..self.client.pool().members().len() {
            if self.is_owned_by(position, user, call).await? {
                return Ok(Some(position));
            }
        }
        Ok(None)
    }

    async fn is_owned_by(&self, position: usize, user: UserId, call: &CallContext) -> Result<bool, GovernanceError> {
        // The token's owner never changes.
        let status = match self.status_of(position, Duration::MAX, call).await {
            Ok(status) => status,
            Err(error) => return self.is_known_owner(position, user).ok_or(error),
        };
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

    /// Whether `user` owns a credential that cannot be used while another one is; `None` if it is the only one.
    fn is_known_owner(&self, position: usize, user: UserId) -> Option<bool> {
        let pool = self.client.pool();
        if pool.is_single() || pool.state(position) != MemberState::LeftOut {
            return None;
        }
        let owner = self.owner_of(position);
        if owner.is_none() {
            tracing::warn!(
                "the owner of a rejected token is not known, so a change of their role cannot be recognised"
            );
        }
        Some(owner.is_some_and(|owner| owner.id == user))
    }

    /// The owners of tokens who are not organization admins now, so that they can change `resource` only if their teams or they
    /// themselves manage it: the owner of the token that makes the change, and before a change that `takes_access` those of the other
    /// tokens. Before such a change a role is read again. For any other change an admin is one by the role that was read last, so that
    /// such changes cost no request.
    ///
    /// For such owners `lock` is acquired for the resource: of two writes at once, the guard of the second reads what the first has
    /// left. The owners' own teams cannot shrink meanwhile, because the connector never takes their role in a team that they maintain,
    /// and cannot change another team.
    ///
    /// # Errors
    /// The failure to read an owner or their role, or to acquire the lock.
    pub(super) async fn dependent_owners(
        &self,
        resource: ResourceId,
        takes_access: bool,
        lock: &mut GuardLock,
        call: &CallContext,
    ) -> Result<Vec<DependentOwner>, GovernanceError> {
        let status = self.credential_status(Duration::MAX, call).await?;
        let writing = self.client.responsible(call);
        if !takes_access && status.owner_role == OwnerRole::Admin {
            return Ok(Vec::new());
        }
        let others = (0..self.client.pool().members().len()).filter(|position| takes_access && *position != writing);
        let mut seen = Vec::new();
        let mut dependent = Vec::new();
        for position in [writing].into_iter().chain(others) {
            let Some(owner) = self.owner_of(position) else {
                tracing::warn!(
                    "the token's owner is not known, so a change that locks the connector out cannot be recognised"
                );
                continue;
            };
            if seen.contains(&owner.id) {
                continue;
            }
            seen.push(owner.id);
            if self.role_now(Some(owner.id), call).await? != OwnerRole::Admin {
                dependent.push(DependentOwner {
                    id: owner.id,
                    label: self.owner_label(position),
                    makes_the_change: position == writing,
                });
            }
        }
        if !dependent.is_empty() {
            lock.acquire(&self.shared.lockout_locks, resource, call).await?;
        }
        Ok(dependent)
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
