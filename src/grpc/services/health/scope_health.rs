//! `connector.health.v1.ScopeHealthService`: the checks as messages, asked for or watched.

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
use crate::grpc::services::Deadline;
use crate::proto::connector::health::v1::scope_health_service_server::ScopeHealthService;
use crate::proto::connector::health::v1::{
    CheckScopesRequest, CheckScopesResponse, Credential, ScopeCheck, ScopeState, WatchScopesRequest,
};

/// By how much a caller's deadline is kept early.
const EARLY: Duration = Duration::from_millis(50);

/// The service.
#[derive(Debug)]
pub(crate) struct ScopeHealth {
    access: Arc<Governance>,
    latest: watch::Receiver<Report>,
}

impl ScopeHealth {
    pub(crate) fn new(access: Arc<Governance>, latest: watch::Receiver<Report>) -> Self {
        Self { access, latest }
    }
}

#[async_trait]
impl ScopeHealthService for ScopeHealth {
    async fn check_scopes(
        &self,
        request: Request<CheckScopesRequest>,
    ) -> Result<Response<CheckScopesResponse>, Status> {
        // A little early: what is known by then is an answer, and a deadline that passed is none.
        let deadline = request.extensions().get::<Deadline>();
        let deadline = deadline.and_then(|deadline| deadline.0.checked_sub(EARLY));
        let age = if request.into_inner().fresh {
            Duration::ZERO
        } else {
            self.access.settings().health.max_age
        };
        let report = self.access.health(age, deadline).await;
        Ok(Response::new(response(report)))
    }

    type WatchScopesStream = Pin<Box<dyn Stream<Item = Result<CheckScopesResponse, Status>> + Send>>;

    async fn watch_scopes(&self, _: Request<WatchScopesRequest>) -> Result<Response<Self::WatchScopesStream>, Status> {
        // Subscribed before the latest is looked at, so that nothing is missed between the two. A watcher that is slow misses
        // what lay between two changes, never the last.
        let changes = WatchStream::from_changes(self.latest.clone());
        let first = self.access.latest_health();
        let mut told = first.essence();
        let changes = changes.filter_map(move |report| {
            let essence = report.essence();
            let is_news = essence != told;
            told = essence;
            ready(is_news.then_some(report))
        });
        let reports = once(ready(first)).chain(changes).map(|report| Ok(response(report)));
        Ok(Response::new(Box::pin(reports)))
    }
}

fn response(report: Report) -> CheckScopesResponse {
    CheckScopesResponse {
        overall: state(report.overall).into(),
        checks: report.checks.into_iter().map(check).collect(),
        credentials: report.credential.map(credential).into_iter().collect(),
        organization: report.organization,
    }
}

fn check(verdict: CheckResult) -> ScopeCheck {
    let row = verdict.check.row();
    ScopeCheck {
        id: row.id.to_owned(),
        scope: row.scope.map(|scope| scope.to_string()).unwrap_or_default(),
        state: state(verdict.state).into(),
        summary: summary(&verdict),
        remedy: verdict.remedy,
        checked_at: verdict.checked_at.map(time),
        latency: verdict
            .latency
            .and_then(|latency| prost_types::Duration::try_from(latency).ok()),
    }
}

/// A hint has no field of its own: it is said with what it belongs to.
fn summary(verdict: &CheckResult) -> String {
    let said = [&verdict.summary].into_iter().chain(&verdict.hints);
    said.map(String::as_str).collect::<Vec<_>>().join("; ")
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
