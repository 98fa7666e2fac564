//! One typed method an endpoint (reference, section 1).

use serde::de::DeserializeOwned;

use super::Client;
use super::transport::Asked;
use crate::providers::buildkite::api::endpoint::Endpoint;
use crate::providers::buildkite::api::error::{ApiError, ApiErrorKind};
use crate::providers::buildkite::api::ids::{Role, TeamId, UserId};
use crate::providers::buildkite::api::types::{
    AccessToken, CurrentUser, Organization, OrganizationMember, Team, TeamMember,
};
use crate::providers::buildkite::call::CallContext;
use crate::providers::buildkite::pagination;
use crate::providers::buildkite::pagination::{Answer, Batch, Cursor, Row, Window, Windows};

impl Client {
    /// The token's own record.
    ///
    /// # Errors
    /// As every call: [`ApiError`].
    pub async fn access_token(&self, call: &CallContext) -> Result<AccessToken, ApiError> {
        self.read(Endpoint::AccessToken, call).await
    }

    /// The token's owner.
    ///
    /// # Errors
    /// As every call: [`ApiError`].
    pub async fn user(&self, call: &CallContext) -> Result<CurrentUser, ApiError> {
        self.read(Endpoint::User, call).await
    }

    /// The organization.
    ///
    /// # Errors
    /// As every call: [`ApiError`].
    pub async fn organization(&self, call: &CallContext) -> Result<Organization, ApiError> {
        self.read(Endpoint::Organization, call).await
    }

    /// The first of the organizations that the token reaches; today's tokens reach one at most.
    ///
    /// # Errors
    /// As every call: [`ApiError`].
    pub async fn organizations(&self, call: &CallContext) -> Result<Vec<Organization>, ApiError> {
        self.read(Endpoint::Organizations, call).await
    }

    /// One person of the organization.
    ///
    /// # Errors
    /// As every call: [`ApiError`].
    pub async fn person(&self, user: UserId, call: &CallContext) -> Result<OrganizationMember, ApiError> {
        self.read(Endpoint::OrganizationMember(user), call).await
    }

    /// One team.
    ///
    /// # Errors
    /// As every call: [`ApiError`].
    pub async fn team(&self, team: TeamId, call: &CallContext) -> Result<Team, ApiError> {
        self.read(Endpoint::Team(team), call).await
    }

    /// One member of a team.
    ///
    /// # Errors
    /// As every call: [`ApiError`].
    pub async fn member(&self, team: TeamId, user: UserId, call: &CallContext) -> Result<TeamMember, ApiError> {
        self.read(Endpoint::Member(team, user), call).await
    }

    /// The organization's people from `position` on, `enough` rows or a little more.
    ///
    /// # Errors
    /// As every call: [`ApiError`].
    pub async fn people(
        &self,
        position: Cursor,
        enough: usize,
        call: &CallContext,
    ) -> Result<Batch<OrganizationMember>, ApiError> {
        self.list(Endpoint::OrganizationMembers, position, enough, call).await
    }

    /// The organization's teams from `position` on, `enough` rows or a little more.
    ///
    /// # Errors
    /// As every call: [`ApiError`].
    pub async fn teams(&self, position: Cursor, enough: usize, call: &CallContext) -> Result<Batch<Team>, ApiError> {
        self.list(Endpoint::Teams, position, enough, call).await
    }

    /// A team's members from `position` on, `enough` rows or a little more.
    ///
    /// # Errors
    /// As every call: [`ApiError`].
    pub async fn members(
        &self,
        team: TeamId,
        position: Cursor,
        enough: usize,
        call: &CallContext,
    ) -> Result<Batch<TeamMember>, ApiError> {
        self.list(Endpoint::Members(team), position, enough, call).await
    }

    /// Puts a person into a team. The role is always sent: what Buildkite takes for a missing one is documented nowhere.
    ///
    /// # Errors
    /// As every call: [`ApiError`]. The write is sent once; whether it was applied is for the caller to find out.
    pub async fn add_member(
        &self,
        team: TeamId,
        user: UserId,
        role: Role,
        call: &CallContext,
    ) -> Result<Option<TeamMember>, ApiError> {
        let body = serde_json::json!({ "user_id": user.to_string(), "role": role });
        self.write(Endpoint::AddMember(team), Some(body), call).await
    }

    /// Changes a member's role.
    ///
    /// # Errors
    /// As every call: [`ApiError`]. The write is sent once; whether it was applied is for the caller to find out.
    pub async fn change_role(
        &self,
        team: TeamId,
        user: UserId,
        role: Role,
        call: &CallContext,
    ) -> Result<Option<TeamMember>, ApiError> {
        let body = serde_json::json!({ "role": role });
        self.write(Endpoint::ChangeRole(team, user), Some(body), call).await
    }

    /// Takes a person out of a team.
    ///
    /// # Errors
    /// As every call: [`ApiError`]. The write is sent once; whether it was applied is for the caller to find out.
    pub async fn remove_member(&self, team: TeamId, user: UserId, call: &CallContext) -> Result<(), ApiError> {
        self.write(Endpoint::RemoveMember(team, user), None, call)
            .await
            .map(|_: Option<serde::de::IgnoredAny>| ())
    }

    async fn list<R: Row + DeserializeOwned>(
        &self,
        endpoint: Endpoint,
        position: Cursor,
        enough: usize,
        call: &CallContext,
    ) -> Result<Batch<R>, ApiError> {
        pagination::read(
            &Listing {
                client: self,
                endpoint,
                call,
            },
            position,
            enough,
        )
        .await
    }

    /// A read: transient trouble is ridden out, since asking twice changes nothing.
    async fn read<T: DeserializeOwned>(&self, endpoint: Endpoint, call: &CallContext) -> Result<T, ApiError> {
        self.patiently(call, || async {
            self.attempt(Asked { endpoint, window: None }, None, call)
                .await?
                .decode(endpoint)
        })
        .await
    }

    /// A write, sent once. What Buildkite echoes is believed where it is a member row under a status that is documented with
    /// one; any other 2xx is an unread echo.
    async fn write<T: DeserializeOwned>(
        &self,
        endpoint: Endpoint,
        body: Option<serde_json::Value>,
        call: &CallContext,
    ) -> Result<Option<T>, ApiError> {
        let asked = Asked { endpoint, window: None };
        let answered = self.attempt(asked, body.as_ref(), call).await?;
        Ok(answered.echo())
    }
}

/// A list endpoint, as something that windows can be read from.
struct Listing<'a> {
    client: &'a Client,
    endpoint: Endpoint,
    call: &'a CallContext,
}

impl<R: Row + DeserializeOwned> Windows<R> for Listing<'_> {
    fn together(&self) -> usize {
        self.call.concurrency()
    }

    async fn window(&self, window: Window) -> Result<Answer<R>, ApiError> {
        let ask = || async {
            let asked = Asked {
                endpoint: self.endpoint,
                window: Some(window),
            };
            let answered = self.client.attempt(asked, None, self.call).await?;
            Ok(Answer {
                link: pagination::Link::read(answered.headers()),
                rows: answered.decode(self.endpoint)?,
            })
        };
        self.client.patiently(self.call, ask).await
    }

    fn trouble(&self, trouble: ApiErrorKind) -> ApiError {
        ApiError::new(self.endpoint, trouble)
    }
}
