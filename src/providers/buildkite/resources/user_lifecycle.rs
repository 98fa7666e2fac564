//! Inviting people to the organization, and removing them from it.

use async_trait::async_trait;
use serde_json::json;
use uuid::Uuid;

use super::find;
use super::teams;
use super::users::Users;
use crate::governance::model::{EntitlementId, Resource};
use crate::governance::provider::{
    AccountManager, Deletable, Failure, FailureClass, NewInvitation, ResourceType, SsoMode,
};
use crate::governance::{CallContext, GovernanceError, sync};
use crate::providers::buildkite::pagination::Cursor;
use crate::providers::buildkite::{Endpoint, UserId};

#[async_trait]
impl AccountManager for Users {
    async fn pending(&self, call: &CallContext) -> Result<Vec<Resource>, GovernanceError> {
        let history = &self.buildkite.list_history;
        sync::complete_list(&self.invitations, history, &call.uncoalesced()).await
    }

    async fn invite(&self, invitation: &NewInvitation, call: &CallContext) -> Result<Option<Resource>, Failure> {
        let sent = self.buildkite.client.invite(body(invitation), call).await?;
        let mut sent = sent.into_iter().flatten();
        let shown = sent.find(|row| {
            let email = row.email.as_deref();
            email.is_some_and(|email| email.eq_ignore_ascii_case(&invitation.email))
        });
        Ok(shown.map(super::invitations::resource))
    }

    async fn explain_invitation(&self, failure: Failure, call: &CallContext) -> GovernanceError {
        self.invitations.explain(failure, None, call).await
    }

    fn invitations(&self) -> &dyn Deletable {
        &self.invitations
    }
}

/// The body of the request that sends an invitation. What is not requested is left to Buildkite.
fn body(invitation: &NewInvitation) -> serde_json::Value {
    let teams = invitation
        .groups
        .iter()
        .map(|EntitlementId { resource, level }| json!({ "id": resource.id, "role": level.slug }));
    let mut body = json!({ "emails": [invitation.email], "role": invitation.role.as_str() });
    if !invitation.groups.is_empty() {
        body["teams"] = teams.collect();
    }
    if let Some(sso_mode) = invitation.sso_mode.map(SsoMode::as_str) {
        body["sso_mode"] = sso_mode.into();
    }
    body
}

#[async_trait]
impl Deletable for Users {
    async fn find(&self, id: Uuid, call: &CallContext) -> Result<Option<Resource>, GovernanceError> {
        find(self, id, call).await
    }

    async fn is_shown(&self, id: Uuid, call: &CallContext) -> Result<bool, Failure> {
        match self.get(id, call).await {
            Ok(_) => Ok(true),
            Err(failure) if failure.class == FailureClass::NotFound => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// Rejects the removal of the token's owner and of the last admin.
    async fn guard_deletion(&self, user: &Resource, call: &CallContext) -> Result<(), GovernanceError> {
        let id: UserId = user.id.id.into();
        let label = user.handle.as_deref().or(user.name.as_deref()).unwrap_or("the user");
        if self.buildkite.is_token_owner(id, call).await? {
            return Err(GovernanceError::Protected {
                guard: format!(
                    "{label} owns the connector's token, and the connector never removes its own user: use the token of somebody else \
                     first"
                ),
            });
        }
        // A role that is not shown proves nothing; Buildkite itself keeps the last admin.
        if super::users::is_admin(user) && !self.has_another_admin(id, call).await? {
            return Err(GovernanceError::Protected {
                guard: format!("{label} is the last admin of the organization: make somebody else an admin first"),
            });
        }
        Ok(())
    }

    async fn groups(&self, id: Uuid, call: &CallContext) -> Result<Vec<Resource>, GovernanceError> {
        let client = &self.buildkite.client;
        let organization = self.buildkite.organization_slug();
        match client.teams_of(id.into(), Cursor::Start, usize::MAX, call).await {
            Ok(teams) => {
                let teams = teams.rows.into_iter();
                Ok(teams.map(|team| teams::resource(team, organization)).collect())
            }
            Err(error) => Err(self.buildkite.explain(Failure::from(error), call).await),
        }
    }

    async fn delete(&self, id: Uuid, call: &CallContext) -> Result<(), Failure> {
        let client = &self.buildkite.client;
        Ok(client.remove_organization_member(id.into(), call).await?)
    }

    async fn explain_deletion(&self, failure: Failure, id: Uuid, call: &CallContext) -> GovernanceError {
        self.explain(failure, Some(id), call).await
    }

    fn deletion_endpoint(&self) -> &'static str {
        Endpoint::RemoveOrganizationMember.name()
    }
}

impl Users {
    /// Whether a complete list that is read now shows an admin other than `user`.
    async fn has_another_admin(&self, user: UserId, call: &CallContext) -> Result<bool, GovernanceError> {
        let call = call.uncoalesced().with_concurrency(self.buildkite.list_concurrency);
        let people = sync::complete_list(self, &self.buildkite.list_history, &call).await?;
        let mut others = people.iter().filter(|person| person.id.id != user.uuid());
        Ok(others.any(super::users::is_admin))
    }
}
