//! Scope health over gRPC: `connector.health.v1` and `grpc.health.v1`, two faces of one source ([`crate::governance::health`]).

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

/// What is told of health, kept up to date with what Buildkite's answers show.
#[derive(Debug)]
pub struct Health {
    process: ProcessHealth,
    publishing: AbortOnDropHandle<()>,
    /// Kept, so that whoever watches hears of the end from the server, and not that there is nothing more to tell.
    _publisher: Arc<watch::Sender<Report>>,
}

impl Health {
    /// Adds both services to `routes` and begins to publish. Must be called within a runtime.
    pub async fn register(access: Arc<Governance>, routes: &mut RoutesBuilder) -> Self {
        let (reporter, service) = health_reporter();
        let process = ProcessHealth::new(reporter);
        let report = access.latest_health();
        process.tell(&report).await;
        let (publisher, latest) = watch::channel(report);
        let publisher = Arc::new(publisher);
        let scopes = ScopeHealthServiceServer::new(ScopeHealth::new(Arc::clone(&access), latest));
        routes
            .add_service(service.max_decoding_message_size(MESSAGE_SIZE))
            .add_service(scopes.max_decoding_message_size(MESSAGE_SIZE));
        let publishing = AbortOnDropHandle::new(tokio::spawn(publish(access, Arc::clone(&publisher), process.clone())));
        Self {
            process,
            publishing,
            _publisher: publisher,
        }
    }

    /// Tells probes of a further name that it is served.
    pub async fn announce(&self, name: &str) {
        self.process.announce(name).await;
    }

    /// Tells probes, and whoever watches, that nothing is served any more.
    pub async fn end(&mut self) {
        self.publishing.abort();
        // Once it is gone, nothing that it was about to tell can come after this.
        let _ = (&mut self.publishing).await;
        self.process.end().await;
    }
}

/// Tells of every change, but not of answers that changed nothing.
async fn publish(access: Arc<Governance>, publisher: Arc<watch::Sender<Report>>, process: ProcessHealth) {
    loop {
        access.health_news().await;
        let report = access.latest_health();
        if publisher.borrow().essence() != report.essence() {
            process.tell(&report).await;
            publisher.send_replace(report);
        }
    }
}
