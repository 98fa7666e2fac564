//! `grpc.health.v1`: `""` is the process alone, so that an outage at Buildkite restarts nothing; each service of the contract
//! serves when the scopes that it needs do, and one that is not offered never does; each scope is `scope.<name>`. Nothing here
//! ever asks Buildkite.

use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::governance::health::{Report, State};
use crate::grpc::methods::{SERVICES, ServiceHealth};
use crate::providers::buildkite::Scope;

/// The process.
const PROCESS: &str = "";

#[derive(Debug, Clone)]
pub(crate) struct ProcessHealth {
    reporter: HealthReporter,
}

impl ProcessHealth {
    pub(crate) fn new(reporter: HealthReporter) -> Self {
        Self { reporter }
    }

    pub(crate) async fn tell(&self, report: &Report) {
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

    /// Nothing is served any more. Who watches is told so, and let go by the server.
    pub(crate) async fn end(&self) {
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
