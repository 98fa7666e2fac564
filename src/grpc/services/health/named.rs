//! `grpc.health.v1` as it is served: the names of the process, and those of connections.
//!
//! `connection/NAME` is whether everything that the connection requires for reading works, `connection/NAME/scope.X` is a scope of
//! its credential. They exist for callers that may use the connection. All answers are from memory; a question about an idle
//! connection makes its next check due.

use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::sync::Arc;

use futures::Stream;
use futures::stream::unfold;
use tokio::sync::watch;
use tonic::{Request, Response, Status, async_trait};
use tonic_health::ServingStatus;
use tonic_health::pb::health_check_response::ServingStatus as Wire;
use tonic_health::pb::health_server::Health;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_health::server::{HealthReporter, HealthService};

use super::process::serving;
use super::reports::Reports;
use crate::governance::connections::{Connection, ConnectionName, Connections};
use crate::governance::health::Report;
use crate::grpc::middleware::caller_connections::CallerConnections;
use crate::grpc::middleware::reauthorization::{CallersWatch, Reauthorization};

/// What the names of connections begin with.
const PREFIX: &str = "connection/";

/// What the name of a scope begins with.
const SCOPE: &str = "scope.";

/// The service.
#[derive(Debug)]
pub(super) struct NamedHealth {
    process: HealthService,
    connections: Connections,
    reports: Reports,
    ending: watch::Receiver<bool>,
}

/// What a name is about.
struct Subject {
    name: ConnectionName,
    scope: Option<String>,
    connection: Arc<Connection>,
}

impl NamedHealth {
    pub(super) fn new(
        reporter: HealthReporter,
        connections: Connections,
        reports: Reports,
        ending: watch::Receiver<bool>,
    ) -> Self {
        Self {
            process: HealthService::from_health_reporter(reporter),
            connections,
            reports,
            ending,
        }
    }

    /// Makes a check of every idle connection due, as `name`, which the process has, speaks of several connections.
    fn mark_used(&self, name: &str) {
        let current = self.connections.current();
        if !name.is_empty() && current.are_several() {
            for connection in current.iter() {
                self.connections.mark_used(connection);
            }
        }
    }

    /// What the name in `request` is about; `None` for a name of the process.
    fn subject(&self, request: &Request<HealthCheckRequest>) -> Result<Option<Subject>, Status> {
        let asked = &request.get_ref().service;
        let current = self.connections.current();
        let Some(rest) = asked.strip_prefix(PREFIX) else {
            return Ok(None);
        };
        let unknown = || Status::not_found("service not registered");
        let (name, scope) = match rest.split_once('/') {
            Some((name, scope)) => (name, Some(scope.strip_prefix(SCOPE).ok_or_else(unknown)?)),
            None => (rest, None),
        };
        let name: ConnectionName = name.parse().map_err(|_| unknown())?;
        let connection = current.get(&name).ok_or_else(unknown)?;
        let allowed = request.extensions().get::<Arc<CallerConnections>>();
        if allowed.is_some_and(|allowed| !allowed.may_use(connection, &current)) {
            return Err(unknown());
        }
        let report = connection.governance().health().latest();
        if scope.is_some_and(|scope| !report.scopes().contains(&scope)) {
            return Err(unknown());
        }
        self.connections.mark_used(connection);
        Ok(Some(Subject {
            name,
            scope: scope.map(str::to_owned),
            connection: Arc::clone(connection),
        }))
    }
}

#[async_trait]
impl Health for NamedHealth {
    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        let Some(subject) = self.subject(&request)? else {
            let name = request.get_ref().service.clone();
            let response = self.process.check(request).await?;
            self.mark_used(&name);
            return Ok(response);
        };
        let status = if *self.ending.borrow() {
            Wire::NotServing
        } else {
            status(
                &subject.connection.governance().health().latest(),
                subject.scope.as_deref(),
            )
        };
        Ok(Response::new(answer(status)))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let Some(subject) = self.subject(&request)? else {
            let asked = request.get_ref().clone();
            let name = asked.service.clone();
            // A watch of a name that does not exist is answered too.
            if self.process.check(Request::new(asked)).await.is_ok() {
                self.mark_used(&name);
            }
            let response = self.process.watch(request).await?;
            return Ok(response.map(|stream| Box::pin(stream) as Self::WatchStream));
        };
        let reauthorization = request.extensions().get::<Reauthorization>();
        // Subscribed first: a replacement after the report was found is not missed.
        let replacements = self.reports.replacements();
        let watch = Watch {
            replacements,
            callers: reauthorization.map(|reauthorization| {
                let about = Some((self.connections.clone(), Arc::clone(&subject.connection)));
                Reauthorization {
                    connection: about,
                    ..reauthorization.clone()
                }
                .watch()
            }),
            report: self.reports.subscribe(&subject.connection),
            name: subject.name,
            scope: subject.scope,
            connections: self.connections.clone(),
            reports: self.reports.clone(),
            ending: self.ending.clone(),
            last: None,
            is_finished: false,
        };
        Ok(Response::new(Box::pin(unfold(watch, Watch::next))))
    }
}

/// A watch of one name of a connection.
struct Watch {
    name: ConnectionName,
    scope: Option<String>,
    connections: Connections,
    reports: Reports,
    /// The reports of the connection that has the name now.
    report: Option<watch::Receiver<Report>>,
    replacements: watch::Receiver<()>,
    ending: watch::Receiver<bool>,
    callers: Option<CallersWatch>,
    last: Option<Wire>,
    is_finished: bool,
}

impl Watch {
    /// The next status that differs from the last; `SERVICE_UNKNOWN` while no connection has the name. Ends when the caller may no
    /// longer use the connection.
    async fn next(mut self) -> Option<(Result<HealthCheckResponse, Status>, Self)> {
        while !self.is_finished {
            let now = self.status();
            if self.last != Some(now) {
                self.last = Some(now);
                return Some((Ok(answer(now)), self));
            }
            let Self {
                report,
                replacements,
                ending,
                callers,
                ..
            } = &mut self;
            let changed = async {
                let is_changed = match report {
                    Some(report) => report.changed().await.is_ok(),
                    None => false,
                };
                if !is_changed {
                    pending::<()>().await;
                }
            };
            let rejected = async {
                match callers {
                    Some(callers) => poll_fn(|context| callers.poll(context)).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                () = changed => {}
                _ = replacements.changed() => self.follow(),
                _ = ending.changed() => {}
                rejection = rejected => {
                    self.is_finished = true;
                    return Some((Err(rejection.into()), self));
                }
            }
        }
        None
    }

    /// Watches the connection that has the name now.
    fn follow(&mut self) {
        let current = self.connections.current();
        let connection = current.get(&self.name);
        self.report = connection.and_then(|connection| self.reports.subscribe(connection));
    }

    fn status(&mut self) -> Wire {
        if *self.ending.borrow_and_update() {
            return Wire::NotServing;
        }
        match &mut self.report {
            Some(report) => status(&report.borrow_and_update(), self.scope.as_deref()),
            None => Wire::ServiceUnknown,
        }
    }
}

/// The status of a connection, or of a scope of its credential, by its report.
fn status(report: &Report, scope: Option<&str>) -> Wire {
    let state = scope.map_or_else(|| report.reads(), |scope| report.scope(scope));
    match serving(state) {
        ServingStatus::Unknown => Wire::Unknown,
        ServingStatus::Serving => Wire::Serving,
        ServingStatus::NotServing => Wire::NotServing,
    }
}

fn answer(status: Wire) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}
