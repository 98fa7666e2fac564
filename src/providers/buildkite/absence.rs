//! What a 404 proves.
//!
//! Buildkite responds with 404 for what is absent, hidden, disabled or out of the token's reach. So a 404 alone proves nothing: a
//! team is gone only when a fresh, complete list of the teams lacks it, before and after which the owner is an organization
//! admin; a user is outside only while the organization itself is readable.

use std::time::Duration;

use uuid::Uuid;

use super::resources::Teams;
use super::{ApiError, ApiErrorKind, Buildkite, Endpoint, UserId};
use crate::governance::provider::OwnerRole;
use crate::governance::{CallContext, GovernanceError, sync};

impl Teams {
    /// Whether the team is proven absent.
    ///
    /// # Errors
    /// What keeps the proof from being made.
    pub(super) async fn is_gone(&self, team: Uuid, call: &CallContext) -> Result<bool, GovernanceError> {
        let buildkite = self.buildkite();
        let call = &call.uncoalesced();
        // Read anew: a list proves nothing if the token or the organization is in trouble, or if the owner is not an admin.
        let status = buildkite.credential_status(Duration::ZERO, call).await?;
        if status.owner_role != OwnerRole::Admin {
            return Ok(false);
        }
        let list_call = call.clone().with_concurrency(buildkite.list_concurrency);
        let teams = sync::complete_list(self, &buildkite.list_history, &list_call).await?;
        if teams.iter().any(|listed| listed.id.id == team) {
            return Ok(false);
        }
        // And once more after the last window of the list: a demotion before it hides teams from the list.
        Ok(buildkite.fetch_owner_role(call).await? == OwnerRole::Admin)
    }
}

impl Buildkite {
    /// Whether a user's 404 can be believed: a record that must exist is shown in the same place. That is the record of the
    /// token's owner, or any record if the owner is not known or is the user in question.
    ///
    /// # Errors
    /// What keeps that record from being read.
    pub(super) async fn members_are_visible(&self, user: UserId, call: &CallContext) -> Result<bool, GovernanceError> {
        let owner = match self.recorder.evidence().user.and_then(|seen| seen.outcome.ok()) {
            Some(owner) => Some(owner),
            None => self.client.user(call).await.ok(),
        };
        let shown = match owner.filter(|owner| owner.id != user) {
            Some(owner) => self.client.organization_member(owner.id, call).await.map(|_| true),
            None => self
                .client
                .organization_members(super::pagination::Cursor::Start, 1, call)
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
            Err(
                error @ ApiError {
                    kind: ApiErrorKind::NotFound,
                    ..
                },
            ) => Err(self.explain_missing_list(error.endpoint, call).await),
            Err(error) => Err(self.explain(error.into(), call).await),
        }
    }
}
