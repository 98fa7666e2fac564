//! `grpc.health.v1`. `""` is the process alone, so that an outage at Buildkite does not restart it; the services are those of
//! [`crate::grpc::methods`]; each scope is `scope.<name>`. Nothing here sends a request to Buildkite.

use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::governance::health::{Report, State};
use crate::grpc::methods::{SERVICES, ServiceHealth};
use crate::providers::buildkite::Scope;

/// The name that stands for the process.
const PROCESS: &str = "";

#[derive(Debug, Clone)]
pub(crate) struct ProcessHealth {
    reporter: HealthReporter,
}

impl ProcessHealth {
    pub(crate) fn new(reporter: HealthReporter) -> Self {
        Self { reporter }
    }

    pub(crate) async fn publish(&self, report: &Report) {
        for service in SERVICES {
            let status = match service.health {
                ServiceHealth::Unlisted => continue,
                ServiceHealth::Needs {
                    checks,
                    includes_changes,
                } => serving(report.state_of(checks, includes_changes)),
                ServiceHealth::NotOffered => ServingStatus::NotServing,
            };
            self.reporter.set_service_status(service.name, status).await;
        }
        for scope in Scope::ALL {
            self.reporter
                .set_service_status(scope_name(scope), serving(report.scope(scope)))
                .await;
        }
    }

    pub(super) async fn announce(&self, service: &str) {
        self.reporter.set_service_status(service, ServingStatus::Serving).await;
    }

    /// Reports every offered service as `NOT_SERVING`. The server then ends the watches.
    pub(crate) async fn shutdown(&self) {
        let scopes = Scope::ALL.map(scope_name);
        let offered = SERVICES
            .iter()
            .filter(|service| matches!(service.health, ServiceHealth::Needs { .. }));
        let names = offered
            .map(|service| service.name)
            .chain(scopes.iter().map(String::as_str))
            .chain([PROCESS]);
        for name in names {
            self.reporter.set_service_status(name, ServingStatus::NotServing).await;
        }
    }
}

fn scope_name(scope: Scope) -> String {
    format!("scope.{scope}")
}

fn serving(state: State) -> ServingStatus {
    match state {
        State::NotRequired | State::Healthy | State::Degraded => ServingStatus::Serving,
        State::Unknown => ServingStatus::Unknown,
        State::Unhealthy => ServingStatus::NotServing,
    }
}
