//! Scope health over gRPC: `connector.health.v1` and `grpc.health.v1`, both derived from one source ([`crate::governance::health`]).

mod named;
mod process;
mod reports;
mod scope_health;

use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;
use tonic::service::RoutesBuilder;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::HealthReporter;

use crate::governance::connections::{Connection, Connections};
use crate::grpc::services::MESSAGE_SIZE;
use crate::proto::connector::health::v1::scope_health_service_server::ScopeHealthServiceServer;

use named::NamedHealth;
use process::ProcessHealth;
use reports::Reports;
use scope_health::ScopeHealth;

/// Publishes health, kept up to date with Buildkite's responses.
#[derive(Debug)]
pub struct HealthPublisher {
    process: ProcessHealth,
    publishing: AbortOnDropHandle<()>,
    ending: watch::Sender<bool>,
    /// Keeps the channels open so that watchers end with the server's shutdown status, not with end-of-stream.
    _keep_open: Reports,
}

impl HealthPublisher {
    /// Adds both services to `routes` and starts to publish. Must be called within a runtime.
    pub async fn register(connections: Connections, routes: &mut RoutesBuilder) -> Self {
        let reporter = HealthReporter::new();
        let (reports, ending) = (Reports::default(), watch::Sender::new(false));
        let named = NamedHealth::new(
            reporter.clone(),
            connections.clone(),
            reports.clone(),
            ending.subscribe(),
        );
        routes
            .add_service(HealthServer::new(named).max_decoding_message_size(MESSAGE_SIZE))
            .add_service(
                ScopeHealthServiceServer::new(ScopeHealth::new(connections.clone(), reports.clone()))
                    .max_decoding_message_size(MESSAGE_SIZE),
            );
        let publisher = Publisher {
            changes: connections.changes(),
            connections,
            process: ProcessHealth::new(reporter),
            reports: reports.clone(),
        };
        publisher.publish_all().await;
        Self {
            process: publisher.process.clone(),
            publishing: AbortOnDropHandle::new(tokio::spawn(publisher.run())),
            ending,
            _keep_open: reports,
        }
    }

    /// Reports `service`, a name beside the table's, as `SERVING`.
    pub async fn announce(&self, service: &str) {
        self.process.announce(service).await;
    }

    /// Reports every service as `NOT_SERVING`.
    pub async fn shutdown(&mut self) {
        self.publishing.abort();
        // Wait for the task, so that it cannot publish after the shutdown.
        let _ = (&mut self.publishing).await;
        self.ending.send_replace(true);
        self.process.shutdown().await;
    }
}

/// Publishes the reports of all connections.
struct Publisher {
    connections: Connections,
    changes: watch::Receiver<()>,
    process: ProcessHealth,
    reports: Reports,
}

impl Publisher {
    /// Publishes every change of a report, and every change of the connections.
    async fn run(mut self) {
        let mut changed = self.changed_reports();
        loop {
            tokio::select! {
                Some(connection) = changed.next() => {
                    self.publish(&connection).await;
                    changed.push(changed_report(connection));
                }
                Ok(()) = self.changes.changed() => {
                    self.publish_all().await;
                    changed = self.changed_reports();
                }
                else => return,
            }
        }
    }

    /// A future for every connection, which resolves at the next change of its evidence.
    fn changed_reports(&self) -> FuturesUnordered<BoxFuture<'static, Arc<Connection>>> {
        let current = self.connections.current();
        current
            .iter()
            .map(|connection| changed_report(Arc::clone(connection)))
            .collect()
    }

    async fn publish_all(&self) {
        self.reports.replace(&self.connections.current());
        self.process.publish(self.reports.statuses(None)).await;
        self.reports.announce();
    }

    /// Publishes the report of one connection; ignores responses that change only its times.
    async fn publish(&self, connection: &Connection) {
        let report = connection.governance().health().latest();
        if self.reports.is_news(connection, &report) {
            self.process
                .publish(self.reports.statuses(Some((connection, &report))))
                .await;
            self.reports.set(connection, report);
        }
    }
}

fn changed_report(connection: Arc<Connection>) -> BoxFuture<'static, Arc<Connection>> {
    async move {
        connection.governance().health().changed().await;
        connection
    }
    .boxed()
}
