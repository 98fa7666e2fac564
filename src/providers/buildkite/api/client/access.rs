//! The reads and writes of access (reference, sections 1.3 and 1.6). A write is sent once; the caller has to find out whether it was
//! applied.

use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Value, json};

use super::Client;
use super::endpoints::other;
use crate::governance::CallContext;
use crate::providers::buildkite::api::access::AccessRequest;
use crate::providers::buildkite::api::endpoint::Request;
use crate::providers::buildkite::api::error::ApiError;
use crate::providers::buildkite::api::ids::{ClusterId, MaintainerId, TeamId, UserId};
use crate::providers::buildkite::api::objects::ClusterMaintainer;
use crate::providers::buildkite::api::types::{OrganizationMember, Team};
use crate::providers::buildkite::pagination::{Batch, Cursor};

/// The user or the team that is to maintain a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NewMaintainer {
    User(UserId),
    Team(TeamId),
}

impl Client {
    /// Makes a user or a team maintain a cluster.
    ///
    /// # Errors
    /// As for every call: [`ApiError`].
    pub(crate) async fn add_cluster_maintainer(
        &self,
        cluster: ClusterId,
        maintainer: NewMaintainer,
        call: &CallContext,
    ) -> Result<Option<ClusterMaintainer>, ApiError> {
        let body = match maintainer {
            NewMaintainer::User(user) => json!({ "user": user.to_string() }),
            NewMaintainer::Team(team) => json!({ "team": team.to_string() }),
        };
        self.write_access(AccessRequest::AddClusterMaintainer(cluster), Some(body), call)
            .await
    }

    /// Removes a maintainer of a cluster.
    ///
    /// # Errors
    /// As for every call: [`ApiError`].
    pub(crate) async fn remove_cluster_maintainer(
        &self,
        cluster: ClusterId,
        maintainer: MaintainerId,
        call: &CallContext,
    ) -> Result<(), ApiError> {
        let request = AccessRequest::RemoveClusterMaintainer(cluster, maintainer);
        self.delete_access(request, call).await
    }

    /// Changes the role of a member of the organization.
    ///
    /// # Errors
    /// As for every call: [`ApiError`].
    pub(crate) async fn change_organization_member(
        &self,
        user: UserId,
        role: &str,
        call: &CallContext,
    ) -> Result<Option<OrganizationMember>, ApiError> {
        let request = AccessRequest::ChangeOrganizationMember(user);
        self.write_access(request, Some(json!({ "role": role })), call).await
    }

    /// The teams that a user is in, from `cursor` on: at least `min_rows` rows, unless the list ends.
    ///
    /// # Errors
    /// As for every call: [`ApiError`].
    pub(crate) async fn teams_of(
        &self,
        user: UserId,
        cursor: Cursor,
        min_rows: usize,
        call: &CallContext,
    ) -> Result<Batch<Team>, ApiError> {
        let request = Request::Access(AccessRequest::TeamsOf(user));
        self.list(request, cursor, min_rows, call).await
    }

    /// What one row shows.
    ///
    /// # Errors
    /// As for every call: [`ApiError`].
    pub(crate) async fn read_access<T: DeserializeOwned>(
        &self,
        request: AccessRequest,
        call: &CallContext,
    ) -> Result<T, ApiError> {
        let read = self.read(Request::Access(request), call);
        self.observed(call, read, other(request.endpoint())).await
    }

    /// Sends a write, once. Returns the row that the response shows, if any.
    ///
    /// # Errors
    /// As for every call: [`ApiError`].
    pub(crate) async fn write_access<T: DeserializeOwned>(
        &self,
        request: AccessRequest,
        body: Option<Value>,
        call: &CallContext,
    ) -> Result<Option<T>, ApiError> {
        let write = self.write(Request::Access(request), body, call);
        self.observed(call, write, other(request.endpoint())).await
    }

    /// Removes a row, by a request that is sent once.
    ///
    /// # Errors
    /// As for every call: [`ApiError`].
    pub(crate) async fn delete_access(&self, request: AccessRequest, call: &CallContext) -> Result<(), ApiError> {
        self.write_access::<IgnoredAny>(request, None, call).await.map(drop)
    }
}
