//! `connector.health.v1.ScopeHealthService`: the checks as messages, on request or as a stream.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::ready;
use futures::stream::once;
use futures::{Stream, StreamExt};
use prost_types::Timestamp;
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;
use tonic::{Request, Response, Status, async_trait};

use crate::governance::Governance;
use crate::governance::health::{CheckResult, CredentialReport, Report, State};
use crate::grpc::context::DEADLINE_MARGIN;
use crate::grpc::services::Deadline;
use crate::proto::connector::health::v1::scope_health_service_server::ScopeHealthService;
use crate::proto::connector::health::v1::{
    CheckScopesRequest, CheckScopesResponse, Credential, ScopeCheck, ScopeState, WatchScopesRequest,
};

/// The service.
#[derive(Debug)]
pub(crate) struct ScopeHealth {
    governance: Arc<Governance>,
    latest: watch::Receiver<Report>,
}

impl ScopeHealth {
    pub(crate) fn new(governance: Arc<Governance>, latest: watch::Receiver<Report>) -> Self {
        Self { governance, latest }
    }
}

#[async_trait]
impl ScopeHealthService for ScopeHealth {
    async fn check_scopes(
        &self,
        request: Request<CheckScopesRequest>,
    ) -> Result<Response<CheckScopesResponse>, Status> {
        // Before the deadline, so that the latest known report is returned instead of DEADLINE_EXCEEDED.
        let deadline = request.extensions().get::<Deadline>();
        let deadline = deadline.and_then(|deadline| deadline.0.checked_sub(DEADLINE_MARGIN));
        let age = if request.into_inner().fresh {
            Duration::ZERO
        } else {
            self.governance.settings().health.max_age
        };
        let report = self.governance.health().check(age, deadline).await;
        Ok(Response::new(response(report)))
    }

    type WatchScopesStream = Pin<Box<dyn Stream<Item = Result<CheckScopesResponse, Status>> + Send>>;

    async fn watch_scopes(&self, _: Request<WatchScopesRequest>) -> Result<Response<Self::WatchScopesStream>, Status> {
        // Subscribe before reading the latest report, so that no change between the two is missed. A slow watcher may miss
        // intermediate reports, never the last one.
        let changes = WatchStream::from_changes(self.latest.clone());
        let first = self.governance.health().latest();
        let mut latest = first.without_timestamps();
        let changes = changes.filter_map(move |report| {
            let essence = report.without_timestamps();
            let is_news = essence != latest;
            latest = essence;
            ready(is_news.then_some(report))
        });
        let reports = once(ready(first)).chain(changes).map(|report| Ok(response(report)));
        Ok(Response::new(Box::pin(reports)))
    }
}

fn response(report: Report) -> CheckScopesResponse {
    CheckScopesResponse {
        overall: state(report.overall).into(),
        credentials: report.read_credentials().cloned().map(credential).collect(),
        checks: report.checks.into_iter().map(check).collect(),
        organization: report.organization,
    }
}

fn check(result: CheckResult) -> ScopeCheck {
    ScopeCheck {
        id: result.id().into_owned(),
        scope: result.check.scope.unwrap_or_default().to_owned(),
        state: state(result.state).into(),
        summary: summary(&result),
        remedy: result.remedy,
        checked_at: result.checked_at.map(time),
        latency: result
            .latency
            .and_then(|latency| prost_types::Duration::try_from(latency).ok()),
    }
}

/// The summary with its hints, which have no field of their own.
fn summary(result: &CheckResult) -> String {
    let parts = [&result.summary].into_iter().chain(&result.hints);
    parts.map(String::as_str).collect::<Vec<_>>().join("; ")
}

fn credential(credential: CredentialReport) -> Credential {
    let expires_at = credential.expires_at().map(time);
    Credential {
        owner_name: credential.owner_name,
        owner_email: credential.owner_email,
        scopes: credential.scopes,
        expires_at,
        description: credential.description,
        purpose: credential.purpose,
    }
}

fn time(at: jiff::Timestamp) -> Timestamp {
    Timestamp {
        seconds: at.as_second(),
        nanos: at.subsec_nanosecond(),
    }
}

fn state(state: State) -> ScopeState {
    match state {
        State::Healthy => ScopeState::Healthy,
        State::Degraded => ScopeState::Degraded,
        State::Unhealthy => ScopeState::Unhealthy,
        State::Unknown => ScopeState::Unknown,
        State::NotRequired => ScopeState::NotRequired,
    }
}
