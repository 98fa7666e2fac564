//! The guard against locking the connector out: a change must not remove the role by which the token's owner can change the team.

use std::time::Duration;

use super::{ApiError, ApiErrorKind, Buildkite, TokenUser, UserId};
use crate::governance::provider::OwnerRole;
use crate::governance::{CallContext, GovernanceError};

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
        // The token's owner never changes. Their role in the organization does, so it is read again before a change.
        let status = self.credential_status(Duration::MAX, call).await?;
        let is_owner = match (&status.owner, &status.token.user) {
            (Some(owner), _) => owner.id == user,
            // Without the scope `read_user` only the owner's address is known; it is compared with that of the user's record.
            (None, Some(TokenUser { email: Some(email), .. })) => self.has_email(user, email, call).await?,
            (None, _) => {
                tracing::warn!("the token's owner is not known, so a change of their role cannot be recognised");
                false
            }
        };
        if !is_owner || self.credential_status(Duration::ZERO, call).await?.owner_role == OwnerRole::Admin {
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
