//! Scope health over gRPC: `connector.health.v1` and `grpc.health.v1`, both derived from one source ([`crate::governance::health`]).

mod process;
mod scope_health;

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;
use tonic::service::RoutesBuilder;
use tonic_health::server::health_reporter;

use crate::governance::Governance;
use crate::governance::health::Report;
use crate::grpc::services::MESSAGE_SIZE;
use crate::proto::connector::health::v1::scope_health_service_server::ScopeHealthServiceServer;

use process::ProcessHealth;
use scope_health::ScopeHealth;

/// Publishes health, kept up to date with Buildkite's responses.
#[derive(Debug)]
pub struct HealthPublisher {
    process: ProcessHealth,
    publishing: AbortOnDropHandle<()>,
    /// Keeps the channel open so that watchers end with the server's shutdown status, not with end-of-stream.
    _keep_open: Arc<watch::Sender<Report>>,
}

impl HealthPublisher {
    /// Adds both services to `routes` and starts to publish. Must be called within a runtime.
    pub async fn register(governance: Arc<Governance>, routes: &mut RoutesBuilder) -> Self {
        let (reporter, service) = health_reporter();
        let report = governance.health().latest();
        let (catalog, allowed) = (governance.listings().catalog(), &governance.settings().allowed);
        let actions = governance.actions().offered("").collect();
        let process = ProcessHealth::new(reporter, &report, catalog, allowed, actions);
        process.publish(&report).await;
        let (publisher, latest) = watch::channel(report);
        let publisher = Arc::new(publisher);
        let scopes = ScopeHealthServiceServer::new(ScopeHealth::new(Arc::clone(&governance), latest));
        routes
            .add_service(service.max_decoding_message_size(MESSAGE_SIZE))
            .add_service(scopes.max_decoding_message_size(MESSAGE_SIZE));
        let publishing = AbortOnDropHandle::new(tokio::spawn(publish_changes(
            governance,
            Arc::clone(&publisher),
            process.clone(),
        )));
        Self {
            process,
            publishing,
            _keep_open: publisher,
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
        self.process.shutdown().await;
    }
}

/// Publishes every change of the report; ignores responses that change only its times.
async fn publish_changes(governance: Arc<Governance>, publisher: Arc<watch::Sender<Report>>, process: ProcessHealth) {
    loop {
        governance.health().changed().await;
        let report = governance.health().latest();
        if publisher.borrow().without_timestamps() != report.without_timestamps() {
            process.publish(&report).await;
            publisher.send_replace(report);
        }
    }
}
