//! `grpc.health.v1`. `""` is the process alone, so that an outage at Buildkite does not restart it; the services are those of
//! [`crate::grpc::methods`]; each scope is `scope.<name>`. With several connections, a name has the worst status of those that offer
//! the service, or that have the scope. Nothing here sends a request to Buildkite.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::Mutex;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::governance::Governance;
use crate::governance::health::{Feature, Report, State};
use crate::governance::model::LifecycleOperation;
use crate::grpc::methods::{SERVICES, ServiceHealth};

/// The name that stands for the process.
const PROCESS: &str = "";

/// Publishes the status of every name.
#[derive(Debug, Clone)]
pub(crate) struct ProcessHealth {
    reporter: HealthReporter,
    /// The published names.
    names: Arc<Mutex<BTreeSet<String>>>,
}

impl ProcessHealth {
    pub(crate) fn new(reporter: HealthReporter) -> Self {
        Self {
            reporter,
            names: Arc::default(),
        }
    }

    /// Publishes these statuses. Names that are no longer among them become unknown.
    pub(super) async fn publish(&self, statuses: BTreeMap<String, ServingStatus>) {
        let mut names = self.names.lock().await;
        let mut reporter = self.reporter.clone();
        for gone in names.iter().filter(|name| !statuses.contains_key(*name)) {
            reporter.clear_service_status(gone).await;
        }
        for (name, status) in &statuses {
            reporter.set_service_status(name, *status).await;
        }
        *names = statuses.into_keys().collect();
    }

    pub(super) async fn announce(&self, service: &str) {
        self.reporter.set_service_status(service, ServingStatus::Serving).await;
    }

    /// Reports every published name as `NOT_SERVING`. The server then ends the watches.
    pub(crate) async fn shutdown(&self) {
        let names = self.names.lock().await;
        for name in names.iter().map(String::as_str).chain([PROCESS]) {
            self.reporter.set_service_status(name, ServingStatus::NotServing).await;
        }
    }
}

/// The statuses of names, of one connection after the other.
#[derive(Debug, Default)]
pub(super) struct Statuses(BTreeMap<String, Option<ServingStatus>>);

impl Statuses {
    /// Adds those of a connection.
    pub(super) fn add(&mut self, governance: &Governance, report: &Report) {
        for service in SERVICES {
            if service.health != ServiceHealth::Unlisted {
                let status = service_status(service.health, governance, report);
                self.worsen(service.name.to_owned(), status);
            }
        }
        for scope in report.scopes() {
            self.worsen(scope_name(scope), Some(serving(report.scope(scope))));
        }
    }

    /// The status of each name. What no connection offers is `NOT_SERVING`.
    pub(super) fn finish(self) -> BTreeMap<String, ServingStatus> {
        let statuses = self.0.into_iter();
        statuses
            .map(|(name, status)| (name, status.unwrap_or(ServingStatus::NotServing)))
            .collect()
    }

    fn worsen(&mut self, name: String, status: Option<ServingStatus>) {
        let known = self.0.entry(name).or_default();
        *known = [*known, status]
            .into_iter()
            .max_by_key(|status| status.map(severity))
            .flatten();
    }
}

fn severity(status: ServingStatus) -> u8 {
    match status {
        ServingStatus::Serving => 0,
        ServingStatus::Unknown => 1,
        ServingStatus::NotServing => 2,
    }
}

/// The status of a service; `None` if the settings of the connection do not offer it.
fn service_status(health: ServiceHealth, governance: &Governance, report: &Report) -> Option<ServingStatus> {
    match health {
        ServiceHealth::Unlisted | ServiceHealth::NotOffered => None,
        ServiceHealth::Always => Some(ServingStatus::Serving),
        ServiceHealth::Reads => Some(serving(report.reads())),
        ServiceHealth::Needs(Feature::Provisioning) if !provisions(governance) => None,
        ServiceHealth::Needs(feature) => Some(serving(report.feature(feature))),
        ServiceHealth::Lifecycle(operations) => lifecycle(operations, governance, report),
        ServiceHealth::Actions => actions(governance, report),
    }
}

/// Whether the settings allow granting and revoking levels of any type.
fn provisions(governance: &Governance) -> bool {
    let allowed = &governance.settings().allowed;
    let mut types = governance.listings().catalog().types().iter();
    types.any(|resource_type| resource_type.is_provisioned(allowed))
}

/// The worst state of the scopes that the allowed ones of these operations need.
fn lifecycle(operations: &[LifecycleOperation], governance: &Governance, report: &Report) -> Option<ServingStatus> {
    let allowed = &governance.settings().allowed;
    let types = governance.listings().catalog().types().iter();
    let offers = types.flat_map(|resource_type| resource_type.allowed_lifecycle(allowed));
    let offers = offers.filter(|offer| operations.contains(&offer.operation));
    let scopes = offers.flat_map(|offer| offer.scopes);
    scopes.map(|scope| report.scope(scope)).max().map(serving)
}

/// The worst state of the scopes that the allowed actions need.
fn actions(governance: &Governance, report: &Report) -> Option<ServingStatus> {
    let mut offered = governance.actions().offered("").peekable();
    offered.peek()?;
    let scopes = offered.flat_map(|action| action.scopes);
    let worst = scopes.map(|scope| report.scope(scope)).max();
    Some(worst.map_or(ServingStatus::Serving, serving))
}

fn scope_name(scope: &str) -> String {
    format!("scope.{scope}")
}

/// The status that a state stands for.
pub(super) fn serving(state: State) -> ServingStatus {
    match state {
        State::NotRequired | State::Healthy | State::Degraded => ServingStatus::Serving,
        State::Unknown => ServingStatus::Unknown,
        State::Unhealthy => ServingStatus::NotServing,
    }
}
