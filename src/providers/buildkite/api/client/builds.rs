//! The requests about builds and about paths that are read as they are. A write is sent once; the caller has to find out whether it
//! was applied.

use serde_json::Value;

use super::Client;
use super::endpoints::other;
use super::transport::RequestKey;
use crate::governance::CallContext;
use crate::providers::buildkite::api::builds::{Build, BuildFilter, BuildJob, BuildRequest};
use crate::providers::buildkite::api::endpoint::{Endpoint, Request};
use crate::providers::buildkite::api::error::ApiError;
use crate::providers::buildkite::api::ids::{ObjectSlug, TeamId};
use crate::providers::buildkite::api::rest_path::RestPath;
use crate::providers::buildkite::api::types::Team;
use crate::providers::buildkite::pagination::{Batch, Cursor};

use super::execute::Response;

impl Client {
    /// Changes the fields of a team that `body` names. `None` if the response does not show it.
    ///
    /// # Errors
    /// As for every call: [`ApiError`].
    pub(crate) async fn update_team(
        &self,
        team: TeamId,
        body: Value,
        call: &CallContext,
    ) -> Result<Option<Team>, ApiError> {
        let request = self.write(Request::UpdateTeam(team), Some(body), call);
        self.observed(call, request, other(Endpoint::UpdateTeam)).await
    }

    /// The builds of a pipeline that a filter selects, from `cursor` on.
    ///
    /// # Errors
    /// As for every call: [`ApiError`].
    pub(crate) async fn pipeline_builds(
        &self,
        pipeline: ObjectSlug,
        filter: BuildFilter,
        cursor: Cursor,
        call: &CallContext,
    ) -> Result<Batch<Build>, ApiError> {
        let request = Request::Builds(BuildRequest::List(pipeline, filter));
        self.list(request, cursor, 1, call).await
    }

    /// One build, with its jobs.
    ///
    /// # Errors
    /// As for every call: [`ApiError`].
    pub(crate) async fn build(&self, pipeline: ObjectSlug, number: u64, call: &CallContext) -> Result<Build, ApiError> {
        let request = self.read(Request::Builds(BuildRequest::Build(pipeline, number)), call);
        self.observed(call, request, other(Endpoint::Build)).await
    }

    /// Starts a build. `None` if the response does not show it.
    ///
    /// # Errors
    /// As for every call: [`ApiError`].
    pub(crate) async fn create_build(
        &self,
        pipeline: ObjectSlug,
        body: Value,
        call: &CallContext,
    ) -> Result<Option<Build>, ApiError> {
        let request = self.write(Request::Builds(BuildRequest::Create(pipeline)), Some(body), call);
        self.observed(call, request, other(Endpoint::CreateBuild)).await
    }

    /// Unblocks a job. `None` if the response does not show it.
    ///
    /// # Errors
    /// As for every call: [`ApiError`].
    pub(crate) async fn unblock_job(
        &self,
        (pipeline, number, job): (ObjectSlug, u64, uuid::Uuid),
        body: Value,
        call: &CallContext,
    ) -> Result<Option<BuildJob>, ApiError> {
        let request = Request::Builds(BuildRequest::Unblock(pipeline, number, job));
        let request = self.write(request, Some(body), call);
        self.observed(call, request, other(Endpoint::UnblockJob)).await
    }

    /// Reads a path as it is. Any status is returned; `None` is a 401, whose body is not kept.
    ///
    /// # Errors
    /// [`ApiError`] without a response, and for an exceeded rate limit.
    pub(crate) async fn rest(&self, path: RestPath, call: &CallContext) -> Result<Option<Response>, ApiError> {
        let key = RequestKey {
            request: Request::Rest(path),
            window: None,
        };
        let attempt = || async { self.execute(&key, None, call).await };
        match Box::pin(self.with_retries(call, attempt)).await {
            Ok(response) => Ok(Some(response)),
            Err(error) if error.kind.is_unauthorized() => Ok(None),
            Err(error) => Err(error),
        }
    }
}
