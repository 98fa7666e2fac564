//! `grpc.health.v1`. `""` is the process alone, so that an outage at Buildkite does not restart it; the services are those of
//! [`crate::grpc::methods`]; each scope is `scope.<name>`. Nothing here sends a request to Buildkite.

use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::governance::AllowedChanges;
use crate::governance::actions::ActionInfo;
use crate::governance::health::{Feature, Report, State};
use crate::governance::model::{Catalog, LifecycleOffer, LifecycleOperation};
use crate::grpc::methods::{SERVICES, ServiceHealth};

/// The name that stands for the process.
const PROCESS: &str = "";

#[derive(Debug, Clone)]
pub(crate) struct ProcessHealth {
    reporter: HealthReporter,
    /// The scopes that are reported.
    scopes: Vec<&'static str>,
    /// Whether the settings allow granting and revoking levels of any type.
    provisions: bool,
    /// The operations on whole resources that the settings allow, each with the scopes that it needs.
    lifecycle: Vec<&'static LifecycleOffer>,
    /// The actions that the settings allow.
    actions: Vec<&'static ActionInfo>,
}

impl ProcessHealth {
    /// Publishes the health of what `allowed` allows of the types of `catalog`.
    pub(crate) fn new(
        reporter: HealthReporter,
        report: &Report,
        catalog: &Catalog,
        allowed: &AllowedChanges,
        actions: Vec<&'static ActionInfo>,
    ) -> Self {
        let types = catalog.types();
        Self {
            reporter,
            scopes: report.scopes(),
            provisions: types.iter().any(|resource_type| resource_type.is_provisioned(allowed)),
            lifecycle: types
                .iter()
                .flat_map(|resource_type| resource_type.allowed_lifecycle(allowed))
                .collect(),
            actions,
        }
    }

    pub(crate) async fn publish(&self, report: &Report) {
        for service in SERVICES {
            let status = match service.health {
                ServiceHealth::Unlisted => continue,
                ServiceHealth::Always => ServingStatus::Serving,
                ServiceHealth::Reads => serving(report.reads()),
                ServiceHealth::Needs(Feature::Provisioning) if !self.provisions => ServingStatus::NotServing,
                ServiceHealth::Needs(feature) => serving(report.feature(feature)),
                ServiceHealth::Lifecycle(operations) => self.lifecycle(operations, report),
                ServiceHealth::Actions => self.actions(report),
                ServiceHealth::NotOffered => ServingStatus::NotServing,
            };
            self.reporter.set_service_status(service.name, status).await;
        }
        for scope in &self.scopes {
            self.reporter
                .set_service_status(scope_name(scope), serving(report.scope(scope)))
                .await;
        }
    }

    /// The worst state of the scopes that the allowed ones of these operations need.
    fn lifecycle(&self, operations: &[LifecycleOperation], report: &Report) -> ServingStatus {
        let offers = self
            .lifecycle
            .iter()
            .filter(|offer| operations.contains(&offer.operation));
        let scopes = offers.flat_map(|offer| offer.scopes);
        let worst = scopes.map(|scope| report.scope(scope)).max();
        worst.map_or(ServingStatus::NotServing, serving)
    }

    /// The worst state of the scopes that the allowed actions need.
    fn actions(&self, report: &Report) -> ServingStatus {
        if self.actions.is_empty() {
            return ServingStatus::NotServing;
        }
        let scopes = self.actions.iter().flat_map(|action| action.scopes);
        let worst = scopes.map(|scope| report.scope(scope)).max();
        worst.map_or(ServingStatus::Serving, serving)
    }

    pub(super) async fn announce(&self, service: &str) {
        self.reporter.set_service_status(service, ServingStatus::Serving).await;
    }

    /// Reports every offered service as `NOT_SERVING`. The server then ends the watches.
    pub(crate) async fn shutdown(&self) {
        let scopes: Vec<String> = self.scopes.iter().map(|scope| scope_name(scope)).collect();
        let offered = SERVICES
            .iter()
            .filter(|service| !matches!(service.health, ServiceHealth::Unlisted | ServiceHealth::NotOffered));
        let names = offered
            .map(|service| service.name)
            .chain(scopes.iter().map(String::as_str))
            .chain([PROCESS]);
        for name in names {
            self.reporter.set_service_status(name, ServingStatus::NotServing).await;
        }
    }
}

fn scope_name(scope: &str) -> String {
    format!("scope.{scope}")
}

fn serving(state: State) -> ServingStatus {
    match state {
        State::NotRequired | State::Healthy | State::Degraded => ServingStatus::Serving,
        State::Unknown => ServingStatus::Unknown,
        State::Unhealthy => ServingStatus::NotServing,
    }
}
