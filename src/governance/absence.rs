//! What a 404 proves.
//!
//! Buildkite answers 404 for what is absent, hidden, disabled or out of the token's reach. So a 404 alone proves nothing: a
//! team is gone only when a fresh, complete list of the teams lacks it, before and after which the owner is an organization admin;
//! a person is outside only while the organization itself is readable.

use std::time::Duration;

use super::{Governance, GovernanceError, OwnerRole};
use crate::providers::buildkite::pagination::Cursor;
use crate::providers::buildkite::{ApiError, ApiErrorKind, CallContext, Endpoint, Team, TeamId, UserId};

impl Governance {
    /// What it means that `team` answered 404: `TeamNotFound` where that is proven, `TeamUnreachable` where it is not, or
    /// the trouble that kept us from finding out.
    pub(crate) async fn missing_team_error(&self, team: TeamId, call: &CallContext) -> GovernanceError {
        match self.team_is_gone(team, call).await {
            Ok(true) => GovernanceError::TeamNotFound { team },
            Ok(false) => GovernanceError::TeamUnreachable { team },
            Err(error) => error,
        }
    }

    async fn team_is_gone(&self, team: TeamId, call: &CallContext) -> Result<bool, GovernanceError> {
        let call = &call.uncoalesced();
        // Read anew: the list of a token or an organization in trouble proves nothing, nor does that of an owner who is no admin.
        let standing = self.credential_status(Duration::ZERO, call).await?;
        if standing.owner_role != OwnerRole::Admin {
            return Ok(false);
        }
        let teams = self.read_all::<Team>(call).await?;
        if teams.iter().any(|listed| listed.id == team) {
            return Ok(false);
        }
        // And once more behind the list's last window: a demotion before it hides teams from the list.
        Ok(self.fetch_owner_role(call).await? == OwnerRole::Admin)
    }

    /// Whether the organization has no record of the person.
    ///
    /// # Errors
    /// Whatever keeps us from knowing.
    pub(crate) async fn is_outsider(&self, user: UserId, call: &CallContext) -> Result<bool, GovernanceError> {
        match self.upstream.person(user, call).await {
            Ok(_) => Ok(false),
            Err(ApiError {
                kind: ApiErrorKind::NotFound,
                ..
            }) => self.members_are_visible(user, call).await,
            Err(error) => Err(self.call_error(error, call).await),
        }
    }

    /// Whether a person's 404 can be believed: a record that must exist is shown in the same place, the token's owner's, or
    /// anybody's where the owner is not known or is the one in question.
    async fn members_are_visible(&self, user: UserId, call: &CallContext) -> Result<bool, GovernanceError> {
        let owner = match self.recorder.evidence().user.and_then(|seen| seen.outcome.ok()) {
            Some(owner) => Some(owner),
            None => self.upstream.user(call).await.ok(),
        };
        let shown = match owner.filter(|owner| owner.id != user) {
            Some(owner) => self.upstream.person(owner.id, call).await.map(|_| true),
            None => self
                .upstream
                .people(Cursor::Start, 1, call)
                .await
                .map(|people| !people.rows.is_empty()),
        };
        match shown {
            Ok(shown) => Ok(shown),
            Err(ApiError {
                kind: ApiErrorKind::NotFound,
                endpoint: Endpoint::OrganizationMember,
                ..
            }) => Ok(false),
            Err(error) => Err(self.call_error(error, call).await),
        }
    }
}
