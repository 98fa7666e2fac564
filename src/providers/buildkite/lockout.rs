//! The connector's own power: a change must not take from the token's owner what the connector needs to change it back.

use std::time::Duration;

use super::{ApiError, ApiErrorKind, Buildkite, TokenUser, UserId};
use crate::governance::provider::OwnerRole;
use crate::governance::{CallContext, GovernanceError};

impl Buildkite {
    /// Refuses to take the maintainer role from `user` if they own the token and govern the team by that alone.
    ///
    /// # Errors
    /// `Protected`, or what keeps the owner from being read.
    pub(super) async fn guard_against_self_lockout(
        &self,
        user: UserId,
        team_label: &str,
        call: &CallContext,
    ) -> Result<(), GovernanceError> {
        // The token's owner does not change; their role in the organization does, and is read anew before a change.
        let status = self.credential_status(Duration::MAX, call).await?;
        let is_owner = match (&status.owner, &status.token.user) {
            (Some(owner), _) => owner.id == user,
            // Without `read_user` the owner's address is known, and the user's record tells whether it is theirs.
            (None, Some(TokenUser { email: Some(email), .. })) => self.has_email(user, email, call).await?,
            (None, _) => {
                tracing::warn!("the token's owner is not known, so a change that concerns them cannot be recognised");
                false
            }
        };
        if !is_owner || self.credential_status(Duration::ZERO, call).await?.owner_role == OwnerRole::Admin {
            return Ok(());
        }
        Err(GovernanceError::Protected {
            guard: format!(
                "{} owns the connector's token and is not known to be an organization admin, so without them as maintainer \
                 the connector could change {team_label} no more: use an admin's token",
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
