//! `connector.health.v1.ScopeHealthService`: the checks as messages, on request or as a stream.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::ready;
use futures::stream::once;
use futures::{Stream, StreamExt};
use prost_types::Timestamp;
use tokio_stream::wrappers::WatchStream;
use tonic::{Request, Response, Status, async_trait};

use super::reports::Reports;
use crate::governance::connections::{Connection, Connections};
use crate::governance::health::{CheckResult, CredentialReport, Report, State};
use crate::grpc::context::DEADLINE_MARGIN;
use crate::grpc::middleware::rejection::Rejection;
use crate::grpc::middleware::selection::Selected;
use crate::grpc::services::Deadline;
use crate::proto::connector::health::v1::scope_health_service_server::ScopeHealthService;
use crate::proto::connector::health::v1::{
    CheckScopesRequest, CheckScopesResponse, Credential, ScopeCheck, ScopeState, WatchScopesRequest,
};

/// The service.
#[derive(Debug)]
pub(crate) struct ScopeHealth {
    connections: Connections,
    reports: Reports,
}

impl ScopeHealth {
    pub(super) fn new(connections: Connections, reports: Reports) -> Self {
        Self { connections, reports }
    }

    /// The connection that was selected for the call.
    fn connection<T>(&self, request: &Request<T>) -> Result<Arc<Connection>, Status> {
        if let Some(selected) = request.extensions().get::<Selected>() {
            return Ok(Arc::clone(&selected.connection));
        }
        let current = self.connections.current();
        let only = current.only().ok_or(Rejection::ConnectionNotAllowed)?;
        Ok(Arc::clone(only))
    }
}

#[async_trait]
impl ScopeHealthService for ScopeHealth {
    async fn check_scopes(
        &self,
        request: Request<CheckScopesRequest>,
    ) -> Result<Response<CheckScopesResponse>, Status> {
        let connection = self.connection(&request)?;
        let governance = connection.governance();
        // Before the deadline, so that the latest known report is returned instead of DEADLINE_EXCEEDED.
        let deadline = request.extensions().get::<Deadline>();
        let deadline = deadline.and_then(|deadline| deadline.0.checked_sub(DEADLINE_MARGIN));
        let age = if request.into_inner().fresh {
            Duration::ZERO
        } else {
            governance.settings().health.max_age
        };
        let report = governance.health().check(age, deadline).await;
        Ok(Response::new(response(report)))
    }

    type WatchScopesStream = Pin<Box<dyn Stream<Item = Result<CheckScopesResponse, Status>> + Send>>;

    async fn watch_scopes(
        &self,
        request: Request<WatchScopesRequest>,
    ) -> Result<Response<Self::WatchScopesStream>, Status> {
        let connection = self.connection(&request)?;
        // Subscribe before reading the latest report, so that no change between the two is missed. A slow watcher may miss
        // intermediate reports, never the last one.
        let published = self.reports.subscribe(&connection);
        let Some(published) = published else {
            return Err(gone(&self.connections, &connection).into());
        };
        let changes = WatchStream::from_changes(published);
        let first = connection.governance().health().latest();
        let mut latest = first.without_timestamps();
        let changes = changes.filter_map(move |report| {
            let essence = report.without_timestamps();
            let is_news = essence != latest;
            latest = essence;
            ready(is_news.then_some(report))
        });
        let reports = once(ready(first)).chain(changes).map(|report| Ok(response(report)));
        // The reports end with the connection.
        let connections = self.connections.clone();
        let end = once(async move { Err(gone(&connections, &connection).into()) });
        Ok(Response::new(Box::pin(reports.chain(end))))
    }
}

/// Why a connection is no longer watched.
fn gone(connections: &Connections, connection: &Connection) -> Rejection {
    let current = connections.current();
    let is_replaced = match connection.name() {
        Some(name) => current.get(name).is_some(),
        None => current.only().is_some_and(|only| only.name().is_none()),
    };
    if is_replaced {
        Rejection::ConnectionReplaced
    } else {
        Rejection::ConnectionNotAllowed
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
