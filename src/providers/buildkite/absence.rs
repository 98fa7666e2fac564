//! Decides whether a 404 proves absence.
//!
//! Buildkite responds with 404 for a resource that is absent, hidden, disabled or out of the token's reach, so a 404 alone proves
//! nothing. A team is absent only if a fresh, complete list of teams lacks it, and if the token's owner is an organization admin
//! before and after that list. A user is outside the organization only if other members are readable.

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
    /// The failure to read the owner's role or the list.
    pub(super) async fn is_gone(&self, team: Uuid, call: &CallContext) -> Result<bool, GovernanceError> {
        let buildkite = self.buildkite();
        let call = &call.uncoalesced();
        // Request the status again: a list proves nothing if the token or the organization fails, or if the owner is not an admin.
        let status = buildkite.credential_status(Duration::ZERO, call).await?;
        if status.owner_role != OwnerRole::Admin {
            return Ok(false);
        }
        let list_call = call.clone().with_concurrency(buildkite.list_concurrency);
        let teams = sync::complete_list(self, &buildkite.list_history, &list_call).await?;
        if teams.iter().any(|listed| listed.id.id == team) {
            return Ok(false);
        }
        // Read the role again after the last window of the list: a demotion during the list hides teams from it.
        Ok(buildkite.fetch_owner_role(call).await? == OwnerRole::Admin)
    }
}

impl Buildkite {
    /// Whether a user's 404 can be trusted: a record that must exist is visible under the same path. That is the record of the
    /// token's owner, or any record if the owner is not known or is the user in question.
    ///
    /// # Errors
    /// The failure to read that record.
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
