//! Service mode: the flags of the family, and the connector's own `service` behind them.

use std::net::SocketAddr;

use super::error::BatonError;
use super::flags::Flags;
use super::provision;
use crate::cli::service::Work;
use crate::grpc::server::ListenAddress;
use crate::hosts::service::{ClientSecret, ServiceError, ServiceOptions};

/// The variable of the client secret.
const SECRET: &str = "BATON_CLIENT_SECRET";

/// The settings of service mode.
#[derive(Debug)]
pub(super) struct ServiceSettings {
    /// How the platform is reached, and how its tasks are executed.
    pub(super) options: ServiceOptions,
    /// The address of `/health`, `/ready` and `/live`, if any.
    pub(super) health_address: Option<ListenAddress>,
}

impl ServiceSettings {
    /// Reads the settings from the flags. `variable` is the environment.
    ///
    /// # Errors
    /// A setting is wrong. The secret is not repeated.
    pub(super) fn new(flags: &Flags, variable: impl Fn(&str) -> Option<String>) -> Result<Self, BatonError> {
        let service = &flags.service;
        let secret = service.client_secret();
        if let Some(Err(problem)) = secret.map(str::parse::<ClientSecret>) {
            return Err(BatonError::Refused(format!("--client-secret ({SECRET}): {problem}")));
        }
        let options = service.platform.options(|name| match name {
            SECRET => secret.map(str::to_owned),
            name => variable(name),
        })?;
        let health_address = if service.health_check {
            let address = SocketAddr::new(service.health_check_bind_address, service.health_check_port);
            Some(ListenAddress::Tcp(address))
        } else {
            service.platform.health_address()
        };
        Ok(Self {
            options,
            health_address,
        })
    }
}

impl From<ServiceError> for BatonError {
    fn from(error: ServiceError) -> Self {
        match error {
            ServiceError::Refused { code, message } => Self::Failed { code, message },
            setup @ ServiceError::Setup(_) => Self::Refused(setup.to_string()),
        }
    }
}

/// Executes the platform's tasks until a signal comes.
///
/// # Errors
/// A setting is wrong, something cannot be opened, or the platform refuses this connector for good.
pub(super) async fn start(flags: &Flags, settings: ServiceSettings) -> Result<(), BatonError> {
    let work = Work {
        connection: flags.connection()?,
        sandbox: flags.sandbox(),
        options: settings.options,
        health_address: settings.health_address,
    };
    work.run(provision::environment(flags)).await
}
