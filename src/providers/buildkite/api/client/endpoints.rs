//! One typed method per endpoint (reference, section 1).

use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::Client;
use super::observer::Completed;
use super::transport::RequestKey;
use crate::governance::CallContext;
use crate::providers::buildkite::api::endpoint::{Endpoint, Request};
use crate::providers::buildkite::api::error::{ApiError, ApiErrorKind};
use crate::providers::buildkite::api::ids::{Role, TeamId, UserId};
use crate::providers::buildkite::api::scope_probe::{BuildReference, BuildRow, ScopeProbe};
use crate::providers::buildkite::api::types::{
    AccessToken, CurrentUser, Organization, OrganizationMember, Team, TeamMember,
};
use crate::providers::buildkite::pagination;
use crate::providers::buildkite::pagination::{Batch, Cursor, ListPage, ListSource, Row, Window};

impl Client {
    /// Describes the token in use.
    ///
    /// # Errors
    /// As for every call: [`ApiError`].
    pub async fn access_token(&self, call: &CallContext) -> Result<AccessToken, ApiError> {
        let request = self.read(Request::AccessToken, call);
        self.observed(call, request, |outcome| Completed::AccessToken(outcome))
            .await
    }

    /// The user that owns the token.
    ///
    /// # Errors
    /// As for every call: [`ApiError`].
    pub async fn user(&self, call: &CallContext) -> Result<CurrentUser, ApiError> {
        let request = self.read(Request::User, call);
        self.observed(call, request, |outcome| Completed::User(outcome)).await
    }

    /// The organization.
    ///
    /// # Errors
    /// As for every call: [`ApiError`].
    pub async fn organization(&self, call: &CallContext) -> Result<Organization, ApiError> {
        let request = self.read(Request::Organization, call);
        self.observed(call, request, |outcome| Completed::Organization(outcome))
            .await
    }

    /// The first page of the organizations that the token can access; current tokens access at most one.
    ///
    /// # Errors
    /// As for every call: [`ApiError`].
    pub async fn organizations(&self, call: &CallContext) -> Result<Vec<Organization>, ApiError> {
        let request = self.read(Request::Organizations, call);
        self.observed(call, request, |outcome| Completed::Organizations(outcome))
            .await
    }

    /// One member of the organization.
    ///
    /// # Errors
    /// As for every call: [`ApiError`].
    pub async fn organization_member(&self, user: UserId, call: &CallContext) -> Result<OrganizationMember, ApiError> {
        let request = self.read(Request::OrganizationMember(user), call);
        self.observed(call, request, |outcome| Completed::OrganizationMember(user, outcome))
            .await
    }

    /// One team.
    ///
    /// # Errors
    /// As for every call: [`ApiError`].
    pub async fn team(&self, team: TeamId, call: &CallContext) -> Result<Team, ApiError> {
        let request = self.read(Request::Team(team), call);
        self.observed(call, request, other(Endpoint::Team)).await
    }

    /// One member of a team.
    ///
    /// # Errors
    /// As for every call: [`ApiError`].
    pub async fn team_member(&self, team: TeamId, user: UserId, call: &CallContext) -> Result<TeamMember, ApiError> {
        let request = self.read(Request::Member(team, user), call);
        self.observed(call, request, other(Endpoint::Member)).await
    }

    /// The organization members from `cursor` on: at least `min_rows` rows, unless the list ends.
    ///
    /// # Errors
    /// As for every call: [`ApiError`].
    pub async fn organization_members(
        &self,
        cursor: Cursor,
        min_rows: usize,
        call: &CallContext,
    ) -> Result<Batch<OrganizationMember>, ApiError> {
        self.list(Request::OrganizationMembers, cursor, min_rows, call).await
    }

    /// The teams from `cursor` on: at least `min_rows` rows, unless the list ends.
    ///
    /// # Errors
    /// As for every call: [`ApiError`].
    pub async fn teams(&self, cursor: Cursor, min_rows: usize, call: &CallContext) -> Result<Batch<Team>, ApiError> {
        self.list(Request::Teams, cursor, min_rows, call).await
    }

    /// The members of a team from `cursor` on: at least `min_rows` rows, unless the list ends.
    ///
    /// # Errors
    /// As for every call: [`ApiError`].
    pub async fn team_members(
        &self,
        team: TeamId,
        cursor: Cursor,
        min_rows: usize,
        call: &CallContext,
    ) -> Result<Batch<TeamMember>, ApiError> {
        self.list(Request::Members(team), cursor, min_rows, call).await
    }

    /// Adds a user to a team. The role is always sent, because the default of Buildkite is not documented.
    ///
    /// # Errors
    /// As for every call: [`ApiError`]. The write is sent once; the caller has to find out whether it was applied.
    pub async fn add_team_member(
        &self,
        team: TeamId,
        user: UserId,
        role: Role,
        call: &CallContext,
    ) -> Result<Option<TeamMember>, ApiError> {
        let body = serde_json::json!({ "user_id": user.to_string(), "role": role });
        let request = self.write(Request::AddMember(team), Some(body), call);
        self.observed(call, request, other(Endpoint::AddMember)).await
    }

    /// Changes a member's role.
    ///
    /// # Errors
    /// As for every call: [`ApiError`]. The write is sent once; the caller has to find out whether it was applied.
    pub async fn change_team_member(
        &self,
        team: TeamId,
        user: UserId,
        role: Role,
        call: &CallContext,
    ) -> Result<Option<TeamMember>, ApiError> {
        let body = serde_json::json!({ "role": role });
        let request = self.write(Request::ChangeRole(team, user), Some(body), call);
        self.observed(call, request, other(Endpoint::ChangeRole)).await
    }

    /// Removes a user from a team.
    ///
    /// # Errors
    /// As for every call: [`ApiError`]. The write is sent once; the caller has to find out whether it was applied.
    pub async fn remove_team_member(&self, team: TeamId, user: UserId, call: &CallContext) -> Result<(), ApiError> {
        let request = self.write(Request::RemoveMember(team, user), None, call);
        self.observed(call, request, other(Endpoint::RemoveMember))
            .await
            .map(|_: Option<serde::de::IgnoredAny>| ())
    }

    /// Sends the probe of a scope and discards the response.
    ///
    /// # Errors
    /// As for every call: [`ApiError`].
    pub(crate) async fn probe_scope(&self, probe: ScopeProbe, call: &CallContext) -> Result<(), ApiError> {
        let endpoint = probe.endpoint();
        let request = async {
            let request = Request::ScopeProbe(probe);
            if endpoint == Endpoint::JobLog {
                return self.read_headers(request, call).await;
            }
            self.read::<serde::de::IgnoredAny>(request, call).await.map(drop)
        };
        self.observed(call, request, other(endpoint)).await
    }

    /// Sends the probe of the list of builds: the newest build, if there is one whose pipeline is named.
    ///
    /// # Errors
    /// As for every call: [`ApiError`].
    pub(crate) async fn newest_build(&self, call: &CallContext) -> Result<Option<BuildReference>, ApiError> {
        let request = self.read::<Vec<BuildRow>>(Request::ScopeProbe(ScopeProbe::Builds), call);
        let builds = self.observed(call, request, other(Endpoint::Builds)).await?;
        Ok(builds.first().and_then(BuildRow::reference))
    }

    /// Revokes the token that the request carries, for good.
    ///
    /// # Errors
    /// As every call: [`ApiError`]. It is sent once; whether the token still works is for the caller to find out.
    pub async fn revoke_token(&self, call: &CallContext) -> Result<(), ApiError> {
        self.write(Request::RevokeToken, None, call)
            .await
            .map(|_: Option<serde::de::IgnoredAny>| ())
    }

    /// Sends a request and notifies the observer of its outcome.
    pub(super) async fn observed<T>(
        &self,
        call: &CallContext,
        request: impl Future<Output = Result<T, ApiError>>,
        completed: impl for<'a> FnOnce(&'a Result<T, ApiError>) -> Completed<'a>,
    ) -> Result<T, ApiError> {
        let begun = Instant::now();
        let outcome = request.await;
        let credential = self.only.or_else(|| self.pool.is_single().then_some(0));
        let completed = completed(&outcome);
        if let Some(credential) = credential {
            self.learn_owner(credential, completed);
        }
        if let Some(observer) = &self.observer {
            observer.observe(credential, call, begun, completed);
        }
        outcome
    }

    pub(super) async fn list<R: Row + DeserializeOwned>(
        &self,
        request: Request,
        cursor: Cursor,
        min_rows: usize,
        call: &CallContext,
    ) -> Result<Batch<R>, ApiError> {
        let endpoint = request.endpoint();
        let source = ListRequest {
            client: self,
            request,
            call,
        };
        let rows = Box::pin(pagination::read(&source, cursor, min_rows));
        self.observed(call, rows, other(endpoint)).await
    }

    /// Sends a read. Transient failures are retried, because a read has no effect.
    pub(super) async fn read<T: DeserializeOwned>(&self, request: Request, call: &CallContext) -> Result<T, ApiError> {
        let key = RequestKey { request, window: None };
        let attempt = || async { self.execute(&key, None, call).await?.decode(key.endpoint()) };
        // Boxed: an exchange is large, and callers nest calls.
        Box::pin(self.with_retries(call, attempt)).await
    }

    /// Sends a read whose response has no body.
    async fn read_headers(&self, request: Request, call: &CallContext) -> Result<(), ApiError> {
        let key = RequestKey { request, window: None };
        let attempt = || async { self.execute(&key, None, call).await.map(drop) };
        Box::pin(self.with_retries(call, attempt)).await
    }

    /// Sends a write once. The echoed row is returned if the body is a member row and the status is one documented
    /// with such a body; any other 2xx returns `None`.
    pub(super) async fn write<T: DeserializeOwned>(
        &self,
        request: Request,
        body: Option<serde_json::Value>,
        call: &CallContext,
    ) -> Result<Option<T>, ApiError> {
        let key = RequestKey { request, window: None };
        let response = Box::pin(self.execute(&key, body.as_ref(), call)).await?;
        Ok(response.echo())
    }
}

/// A call whose value no observer needs.
pub(super) fn other<T>(endpoint: Endpoint) -> impl for<'a> FnOnce(&'a Result<T, ApiError>) -> Completed<'a> {
    move |outcome| Completed::Other(endpoint, outcome.as_ref().map(|_| ()))
}

/// A request for a list, as a source of windows.
struct ListRequest<'a> {
    client: &'a Client,
    request: Request,
    call: &'a CallContext,
}

impl<R: Row + DeserializeOwned> ListSource<R> for ListRequest<'_> {
    fn concurrency(&self) -> usize {
        self.call.concurrency()
    }

    async fn window(&self, window: Window) -> Result<ListPage<R>, ApiError> {
        let fetch = || async {
            let key = RequestKey {
                request: self.request.clone(),
                window: Some(window),
            };
            let response = self.client.execute(&key, None, self.call).await?;
            Ok(ListPage {
                link: pagination::Link::parse(response.headers()),
                rows: response.decode(self.request.endpoint())?,
            })
        };
        self.client.with_retries(self.call, fetch).await
    }

    fn error(&self, kind: ApiErrorKind) -> ApiError {
        ApiError::new(self.request.endpoint(), kind)
    }
}
