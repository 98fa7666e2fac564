//! The writes about people and whole teams (reference, sections 1.1, 1.3 and 1.5). A write is sent once; the caller has to find out
//! whether it was applied.

use serde::de::IgnoredAny;
use serde_json::Value;

use super::Client;
use super::endpoints::other;
use crate::governance::CallContext;
use crate::providers::buildkite::api::endpoint::Request;
use crate::providers::buildkite::api::error::ApiError;
use crate::providers::buildkite::api::ids::{InvitationId, TeamId, UserId};
use crate::providers::buildkite::api::objects::Invitation;
use crate::providers::buildkite::api::types::Team;

impl Client {
    /// Sends invitations. Buildkite checks all of them before it sends the first. `None` if the response does not show them.
    ///
    /// # Errors
    /// As for every call: [`ApiError`].
    pub(crate) async fn invite(&self, body: Value, call: &CallContext) -> Result<Option<Vec<Invitation>>, ApiError> {
        let request = self.write(Request::Invite, Some(body), call);
        self.observed(call, request, other(Request::Invite.endpoint())).await
    }

    /// Revokes a pending invitation.
    ///
    /// # Errors
    /// As for every call: [`ApiError`].
    pub(crate) async fn revoke_invitation(&self, invitation: InvitationId, call: &CallContext) -> Result<(), ApiError> {
        self.delete(Request::RevokeInvitation(invitation), call).await
    }

    /// Removes a member from the organization, and so from its teams.
    ///
    /// # Errors
    /// As for every call: [`ApiError`].
    pub(crate) async fn remove_organization_member(&self, user: UserId, call: &CallContext) -> Result<(), ApiError> {
        self.delete(Request::RemoveOrganizationMember(user), call).await
    }

    /// Creates a team. `None` if the response does not show it.
    ///
    /// # Errors
    /// As for every call: [`ApiError`].
    pub(crate) async fn create_team(&self, body: Value, call: &CallContext) -> Result<Option<Team>, ApiError> {
        let request = self.write(Request::CreateTeam, Some(body), call);
        self.observed(call, request, other(Request::CreateTeam.endpoint()))
            .await
    }

    /// Deletes a team.
    ///
    /// # Errors
    /// As for every call: [`ApiError`].
    pub(crate) async fn delete_team(&self, team: TeamId, call: &CallContext) -> Result<(), ApiError> {
        self.delete(Request::DeleteTeam(team), call).await
    }

    async fn delete(&self, request: Request, call: &CallContext) -> Result<(), ApiError> {
        let endpoint = request.endpoint();
        let request = self.write(request, None, call);
        self.observed(call, request, other(endpoint))
            .await
            .map(|_: Option<IgnoredAny>| ())
    }
}
