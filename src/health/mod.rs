//! Scope health over gRPC: `connector.health.v1` and `grpc.health.v1`, two faces of one source ([`crate::access::scopes`]).

mod process;
mod scope_health;

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;
use tonic::service::RoutesBuilder;
use tonic_health::server::health_reporter;

use crate::access::Access;
use crate::access::scopes::Report;
use crate::proto::connector::health::v1::scope_health_service_server::ScopeHealthServiceServer;

use process::ProcessHealth;
use scope_health::ScopeHealth;

/// What is told of health, kept up to date with what Buildkite's answers show.
#[derive(Debug)]
pub struct Health {
    process: ProcessHealth,
    publishing: AbortOnDropHandle<()>,
}

impl Health {
    /// Adds both services to `routes` and begins to publish. Must be called within a runtime.
    pub async fn register(access: Arc<Access>, routes: &mut RoutesBuilder) -> Self {
        let (reporter, service) = health_reporter();
        let process = ProcessHealth::new(reporter);
        let report = access.latest_health();
        process.tell(&report).await;
        let (publisher, latest) = watch::channel(report);
        routes.add_service(service);
        routes.add_service(ScopeHealthServiceServer::new(ScopeHealth::new(
            Arc::clone(&access),
            latest,
        )));
        let publishing = AbortOnDropHandle::new(tokio::spawn(publish(access, publisher, process.clone())));
        Self { process, publishing }
    }

    /// Ends every stream, and tells probes that nothing is served any more.
    pub async fn end(self) {
        self.publishing.abort();
        self.process.end().await;
    }
}

/// Tells of every change, but not of answers that changed nothing.
async fn publish(access: Arc<Access>, publisher: watch::Sender<Report>, process: ProcessHealth) {
    loop {
        access.health_news().await;
        let report = access.latest_health();
        if publisher.borrow().essence() != report.essence() {
            process.tell(&report).await;
            publisher.send_replace(report);
        }
    }
}
