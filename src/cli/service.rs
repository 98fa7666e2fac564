//! `service`: polls an access platform for tasks and executes them. The only listener is an optional one for health pages.

use std::sync::Arc;

use tokio_util::task::AbortOnDropHandle;

use super::connection::{ConnectionOrSandboxArgs, OpenConnection, environment};
use super::logging::{LogArgs, LogFormatArgs};
use super::settings::file::{ChoiceArgs, NamedConnection};
use super::settings::{PlatformArgs, SettingError, health_listen_error};
use super::{CommandError, logging, serve, signals};
use crate::governance::Governance;
use crate::grpc::server::{ListenAddress, Listener};
use crate::hosts::ExportRunner;
use crate::hosts::service::{Service, ServiceError, ServiceOptions};
use crate::monitoring;
use crate::sandbox::Seed;

/// The arguments of `service`.
#[derive(Debug, clap::Args)]
pub struct ServiceArgs {
    #[command(flatten)]
    pub(super) target: ConnectionOrSandboxArgs,
    #[command(flatten)]
    choice: ChoiceArgs,
    #[command(flatten)]
    platform: PlatformArgs,
    #[command(flatten)]
    log: LogArgs,
    #[command(flatten)]
    format: LogFormatArgs,
}

impl From<ServiceError> for CommandError {
    fn from(error: ServiceError) -> Self {
        match error {
            ServiceError::Refused { message, .. } => Self::Failed(message),
            setup @ ServiceError::Setup(_) => Self::Refused(setup.to_string()),
        }
    }
}

/// Executes tasks until a signal comes, or the platform rejects this connector permanently.
pub(super) async fn run(args: &ServiceArgs) -> Result<(), CommandError> {
    logging::init(&args.log.filter, args.format.log_format);
    let work = Work {
        connection: args.target.one(&args.choice)?,
        sandbox: args.target.sandbox()?,
        options: args.platform.options(environment)?,
        health_address: args.platform.health_address(),
    };
    work.run(environment).await
}

/// Service mode with its settings.
#[derive(Debug)]
pub(super) struct Work {
    /// How Buildkite is reached.
    pub(super) connection: NamedConnection,
    /// The organization of the sandbox that replaces Buildkite. `None` for Buildkite.
    pub(super) sandbox: Option<Seed>,
    /// How the platform is reached. Read first, so that no sandbox starts when they are wrong.
    pub(super) options: ServiceOptions,
    /// Where monitors read health. `None` for no listener.
    pub(super) health_address: Option<ListenAddress>,
}

impl Work {
    /// Executes tasks until a signal comes, or the platform rejects this connector permanently. `variable` is the environment.
    ///
    /// # Errors
    /// A setting is wrong or missing, something cannot be opened, or the platform refuses this connector.
    pub(super) async fn run<E: From<CommandError> + From<ServiceError>>(
        self,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<(), E> {
        let waits = |settings| self.connection.args.waiting_for_rate_limits(settings);
        let sandbox = self.sandbox.is_some();
        let connection = OpenConnection::open_one(&self.connection, self.sandbox, variable, waits).await?;
        let governance = &connection.governance;
        let interval = self.connection.args.health.interval();
        let (client_id, host_id) = (self.options.client_id.as_str().to_owned(), self.options.host_id.clone());
        let syncs = Arc::new(ExportRunner::new(Arc::clone(governance)));
        let service = Service::new(Arc::clone(governance), syncs, self.options)?;
        let ending = signals::ending().map_err(|error| CommandError::Failed(error.to_string()))?;
        let pages = match &self.health_address {
            Some(address) => Some(
                open_pages(address, &service, governance)
                    .await
                    .map_err(CommandError::from)?,
            ),
            None => None,
        };
        let health = pages.as_ref().map(|(address, _)| tracing::field::display(address));
        let organization = governance.organization();
        tracing::info!(
            client_id,
            host_id,
            health,
            organization,
            sandbox,
            "working for the platform"
        );
        let checking = serve::monitor_health(Arc::clone(governance), connection.credentials.clone(), interval);
        let _checking = AbortOnDropHandle::new(tokio::spawn(checking));
        let ended = service.run(ending).await;
        connection.close().await;
        ended?;
        tracing::info!("ended");
        Ok(())
    }
}

/// Serves the health pages until the handle is dropped; returns their address too.
async fn open_pages(
    address: &ListenAddress,
    service: &Service,
    access: &Arc<Governance>,
) -> Result<(String, AbortOnDropHandle<()>), SettingError> {
    let listener = Listener::bind(address).await.map_err(health_listen_error)?;
    let bound = listener.address().map_err(health_listen_error)?.to_string();
    // Problems of the credential are not shown to other machines.
    let pages = service.health().router(Arc::clone(access), !address.is_remote());
    let serving = monitoring::serve_routes(listener, pages, || ());
    Ok((bound, AbortOnDropHandle::new(tokio::spawn(serving))))
}
