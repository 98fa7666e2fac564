//! The reads and writes of access (reference, sections 1.3 and 1.6). A write is sent once; the caller has to find out whether it was
//! applied.

use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Value, json};

use super::Client;
use super::endpoints::other;
use crate::governance::CallContext;
use crate::providers::buildkite::api::access::{AccessRequest, SuitePath, TeamPipeline, TeamSuite};
use crate::providers::buildkite::api::endpoint::Request;
use crate::providers::buildkite::api::error::ApiError;
use crate::providers::buildkite::api::ids::{ClusterId, MaintainerId, PipelineId, SuiteId, TeamId, UserId};
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
    /// What a team holds of a pipeline.
    ///
    /// # Errors
    /// As for every call: [`ApiError`].
    pub(crate) async fn team_pipeline(
        &self,
        team: TeamId,
        pipeline: PipelineId,
        call: &CallContext,
    ) -> Result<TeamPipeline, ApiError> {
        self.read_access(AccessRequest::TeamPipeline(team, pipeline), call)
            .await
    }

    /// Gives a team a pipeline.
    ///
    /// # Errors
    /// As for every call: [`ApiError`].
    pub(crate) async fn add_team_pipeline(
        &self,
        team: TeamId,
        pipeline: PipelineId,
        level: &str,
        call: &CallContext,
    ) -> Result<Option<TeamPipeline>, ApiError> {
        let body = json!({ "pipeline_id": pipeline.to_string(), "access_level": level });
        self.write_access(AccessRequest::AddTeamPipeline(team), Some(body), call)
            .await
    }

    /// Changes what a team holds of a pipeline.
    ///
    /// # Errors
    /// As for every call: [`ApiError`].
    pub(crate) async fn change_team_pipeline(
        &self,
        team: TeamId,
        pipeline: PipelineId,
        level: &str,
        call: &CallContext,
    ) -> Result<Option<TeamPipeline>, ApiError> {
        let request = AccessRequest::ChangeTeamPipeline(team, pipeline);
        self.write_access(request, Some(json!({ "access_level": level })), call)
            .await
    }

    /// Takes a pipeline from a team.
    ///
    /// # Errors
    /// As for every call: [`ApiError`].
    pub(crate) async fn remove_team_pipeline(
        &self,
        team: TeamId,
        pipeline: PipelineId,
        call: &CallContext,
    ) -> Result<(), ApiError> {
        self.delete_access(AccessRequest::RemoveTeamPipeline(team, pipeline), call)
            .await
    }

    /// What a team holds of a test suite.
    ///
    /// # Errors
    /// As for every call: [`ApiError`].
    pub(crate) async fn team_suite(
        &self,
        team: TeamId,
        suite: SuiteId,
        call: &CallContext,
    ) -> Result<TeamSuite, ApiError> {
        self.read_access(AccessRequest::TeamSuite(team, suite), call).await
    }

    /// Gives a team a test suite.
    ///
    /// # Errors
    /// As for every call: [`ApiError`].
    pub(crate) async fn add_team_suite(
        &self,
        team: TeamId,
        suite: SuiteId,
        permissions: &[&str],
        path: SuitePath,
        call: &CallContext,
    ) -> Result<Option<TeamSuite>, ApiError> {
        let body = json!({ "suite_id": suite.to_string(), "access_level": permissions });
        self.write_access(AccessRequest::AddTeamSuite(team, path), Some(body), call)
            .await
    }

    /// Changes what a team holds of a test suite.
    ///
    /// # Errors
    /// As for every call: [`ApiError`].
    pub(crate) async fn change_team_suite(
        &self,
        team: TeamId,
        suite: SuiteId,
        permissions: &[&str],
        call: &CallContext,
    ) -> Result<Option<TeamSuite>, ApiError> {
        let request = AccessRequest::ChangeTeamSuite(team, suite);
        self.write_access(request, Some(json!({ "access_level": permissions })), call)
            .await
    }

    /// Takes a test suite from a team.
    ///
    /// # Errors
    /// As for every call: [`ApiError`].
    pub(crate) async fn remove_team_suite(
        &self,
        team: TeamId,
        suite: SuiteId,
        call: &CallContext,
    ) -> Result<(), ApiError> {
        self.delete_access(AccessRequest::RemoveTeamSuite(team, suite), call)
            .await
    }

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

    async fn read_access<T: DeserializeOwned>(
        &self,
        request: AccessRequest,
        call: &CallContext,
    ) -> Result<T, ApiError> {
        let read = self.read(Request::Access(request), call);
        self.observed(call, read, other(request.endpoint())).await
    }

    async fn write_access<T: DeserializeOwned>(
        &self,
        request: AccessRequest,
        body: Option<Value>,
        call: &CallContext,
    ) -> Result<Option<T>, ApiError> {
        let write = self.write(Request::Access(request), body, call);
        self.observed(call, write, other(request.endpoint())).await
    }

    async fn delete_access(&self, request: AccessRequest, call: &CallContext) -> Result<(), ApiError> {
        self.write_access::<IgnoredAny>(request, None, call).await.map(drop)
    }
}
