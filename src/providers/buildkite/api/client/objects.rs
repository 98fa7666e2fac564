//! The reads of pipelines, suites, registries, clusters and invitations (reference, sections 1.5 and 1.6).

use std::sync::atomic::{AtomicU32, Ordering};

use super::Client;
use super::endpoints::other;
use super::transport::RequestKey;
use crate::governance::CallContext;
use crate::providers::buildkite::api::access::{TeamPipeline, TeamSuite};
use crate::providers::buildkite::api::endpoint::{Endpoint, Request};
use crate::providers::buildkite::api::error::{ApiError, ApiErrorKind, Unavailability};
use crate::providers::buildkite::api::ids::{ClusterId, InvitationId, ObjectSlug, TeamId};
use crate::providers::buildkite::api::objects::{Cluster, ClusterMaintainer, Invitation, Pipeline, Registry, Suite};
use crate::providers::buildkite::api::server_cursor::{CursorPage, ServerCursor};
use crate::providers::buildkite::pagination::{Batch, Cursor};

impl Client {
    /// The pipelines from `cursor` on: at least `min_rows` rows, unless the list ends.
    ///
    /// # Errors
    /// As for every call: [`ApiError`].
    pub async fn pipelines(
        &self,
        cursor: Cursor,
        min_rows: usize,
        call: &CallContext,
    ) -> Result<Batch<Pipeline>, ApiError> {
        self.list(Request::Pipelines, cursor, min_rows, call).await
    }

    /// One pipeline.
    ///
    /// # Errors
    /// As for every call: [`ApiError`].
    pub async fn pipeline(&self, pipeline: ObjectSlug, call: &CallContext) -> Result<Pipeline, ApiError> {
        let request = self.read(Request::Pipeline(pipeline), call);
        self.observed(call, request, other(Endpoint::Pipeline)).await
    }

    /// The test suites from `cursor` on: at least `min_rows` rows, unless the list ends.
    ///
    /// # Errors
    /// As for every call: [`ApiError`].
    pub async fn suites(&self, cursor: Cursor, min_rows: usize, call: &CallContext) -> Result<Batch<Suite>, ApiError> {
        self.list(Request::Suites, cursor, min_rows, call).await
    }

    /// One test suite.
    ///
    /// # Errors
    /// As for every call: [`ApiError`].
    pub async fn suite(&self, suite: ObjectSlug, call: &CallContext) -> Result<Suite, ApiError> {
        let request = self.read(Request::Suite(suite), call);
        self.observed(call, request, other(Endpoint::Suite)).await
    }

    /// The package registries from `cursor` on: at least `min_rows` rows, unless the list ends.
    ///
    /// # Errors
    /// As for every call: [`ApiError`].
    pub async fn registries(
        &self,
        cursor: Cursor,
        min_rows: usize,
        call: &CallContext,
    ) -> Result<Batch<Registry>, ApiError> {
        self.list(Request::Registries, cursor, min_rows, call).await
    }

    /// One package registry.
    ///
    /// # Errors
    /// As for every call: [`ApiError`].
    pub async fn registry(&self, registry: ObjectSlug, call: &CallContext) -> Result<Registry, ApiError> {
        let request = self.read(Request::Registry(registry), call);
        self.observed(call, request, other(Endpoint::Registry)).await
    }

    /// The clusters from `cursor` on: at least `min_rows` rows, unless the list ends.
    ///
    /// # Errors
    /// As for every call: [`ApiError`].
    pub async fn clusters(
        &self,
        cursor: Cursor,
        min_rows: usize,
        call: &CallContext,
    ) -> Result<Batch<Cluster>, ApiError> {
        self.list(Request::Clusters, cursor, min_rows, call).await
    }

    /// One cluster.
    ///
    /// # Errors
    /// As for every call: [`ApiError`].
    pub async fn cluster(&self, cluster: ClusterId, call: &CallContext) -> Result<Cluster, ApiError> {
        let request = self.read(Request::Cluster(cluster), call);
        self.observed(call, request, other(Endpoint::Cluster)).await
    }

    /// The maintainers of a cluster from `cursor` on: at least `min_rows` rows, unless the list ends.
    ///
    /// # Errors
    /// As for every call: [`ApiError`].
    pub async fn cluster_maintainers(
        &self,
        cluster: ClusterId,
        cursor: Cursor,
        min_rows: usize,
        call: &CallContext,
    ) -> Result<Batch<ClusterMaintainer>, ApiError> {
        let request = Request::ClusterMaintainers(cluster);
        self.list(request, cursor, min_rows, call).await
    }

    /// The pipelines that a team has access to, from `cursor` on: at least `min_rows` rows, unless the list ends.
    ///
    /// # Errors
    /// As for every call: [`ApiError`].
    pub async fn team_pipelines(
        &self,
        team: TeamId,
        cursor: Cursor,
        min_rows: usize,
        call: &CallContext,
    ) -> Result<Batch<TeamPipeline>, ApiError> {
        self.list(Request::TeamPipelines(team), cursor, min_rows, call).await
    }

    /// The test suites that a team has access to, from `cursor` on: at least `min_rows` rows, unless the list ends.
    ///
    /// # Errors
    /// As for every call: [`ApiError`].
    pub async fn team_suites(
        &self,
        team: TeamId,
        cursor: Cursor,
        min_rows: usize,
        call: &CallContext,
    ) -> Result<Batch<TeamSuite>, ApiError> {
        self.list(Request::TeamSuites(team), cursor, min_rows, call).await
    }

    /// The page of the pending invitations after `after`, or the first one, of `per_page` rows. A page before the last is full: one
    /// with fewer rows may be cut, and is read again. If it has the same number of rows again, the server's pages are of that size:
    /// a page of so many rows is requested, whose end is behind the rows that it has.
    ///
    /// # Errors
    /// As for every call: [`ApiError`].
    pub async fn invitations(
        &self,
        after: Option<ServerCursor>,
        per_page: u32,
        call: &CallContext,
    ) -> Result<CursorPage<Invitation>, ApiError> {
        let (size, shown) = (AtomicU32::new(per_page), AtomicU32::new(0));
        let attempt = || async {
            let per_page = size.load(Ordering::Relaxed);
            let key = RequestKey {
                request: Request::Invitations(after.clone(), per_page),
                window: None,
            };
            let page = CursorPage::decode(&self.execute(&key, None, call).await?, per_page, key.endpoint())?;
            let rows = u32::try_from(page.rows.len()).unwrap_or(u32::MAX);
            if page.next.is_some() && rows < per_page {
                if shown.swap(rows, Ordering::Relaxed) == rows && rows > 0 {
                    size.store(rows, Ordering::Relaxed);
                }
                let cut = ApiErrorKind::Unavailable(Unavailability::Short);
                return Err(ApiError::new(key.endpoint(), cut));
            }
            Ok(page)
        };
        let request = Box::pin(self.with_retries(call, attempt));
        self.observed(call, request, other(Endpoint::Invitations)).await
    }

    /// One invitation, in any state.
    ///
    /// # Errors
    /// As for every call: [`ApiError`].
    pub async fn invitation(&self, invitation: InvitationId, call: &CallContext) -> Result<Invitation, ApiError> {
        let request = self.read(Request::Invitation(invitation), call);
        self.observed(call, request, other(Endpoint::Invitation)).await
    }
}
