//! `grpc.health.v1`: `""` is the process alone, so that an outage at Buildkite restarts nothing; each service of the contract
//! serves when the scopes that it needs do, and one that is not offered never does; each scope is `scope.<name>`. Nothing here
//! ever asks Buildkite.

use tonic::server::NamedService;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::governance::health::{Report, State};
use crate::grpc::services::{Connector, UNOFFERED_SERVICES};
use crate::proto::c1::connector::v2::connector_service_server::ConnectorServiceServer;
use crate::proto::c1::connector::v2::entitlements_service_server::EntitlementsServiceServer;
use crate::proto::c1::connector::v2::grant_manager_service_server::GrantManagerServiceServer;
use crate::proto::c1::connector::v2::grants_service_server::GrantsServiceServer;
use crate::proto::c1::connector::v2::resource_getter_service_server::ResourceGetterServiceServer;
use crate::proto::c1::connector::v2::resource_types_service_server::ResourceTypesServiceServer;
use crate::proto::c1::connector::v2::resources_service_server::ResourcesServiceServer;
use crate::providers::buildkite::Scope;

/// The contract's services that are offered, by the names that health knows them by.
const SERVICES: [&str; 7] = [
    ConnectorServiceServer::<Connector>::NAME,
    ResourceTypesServiceServer::<Connector>::NAME,
    ResourcesServiceServer::<Connector>::NAME,
    ResourceGetterServiceServer::<Connector>::NAME,
    EntitlementsServiceServer::<Connector>::NAME,
    GrantsServiceServer::<Connector>::NAME,
    GrantManagerServiceServer::<Connector>::NAME,
];

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
        for name in SERVICES {
            let short = name.rsplit('.').next().unwrap_or(name);
            self.reporter
                .set_service_status(name, serving(report.service(short)))
                .await;
        }
        for name in UNOFFERED_SERVICES {
            self.reporter.set_service_status(name, ServingStatus::NotServing).await;
        }
        for scope in Scope::ALL {
            self.reporter
                .set_service_status(scope_name(scope), serving(report.scope(scope)))
                .await;
        }
    }

    pub(super) async fn announce(&self, name: &str) {
        self.reporter.set_service_status(name, ServingStatus::Serving).await;
    }

    /// Nothing is served any more. Who watches is told so, and let go by the server.
    pub(crate) async fn end(&self) {
        let scopes = Scope::ALL.map(scope_name);
        let names = SERVICES
            .into_iter()
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
