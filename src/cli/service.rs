//! `service`: works off an access platform's tasks. Nothing is listened for but the health pages, where they are wanted.

use std::sync::Arc;

use tokio_util::task::AbortOnDropHandle;

use super::settings::{ConnectionArgs, PlatformArgs, SettingError, Settings, health_problem};
use super::{CommandError, logging, serve, signals};
use crate::governance::Governance;
use crate::grpc::server::{ListenAddress, Listener};
use crate::hosts::ExportRunner;
use crate::hosts::service::{Service, ServiceError};
use crate::monitoring;
use crate::providers::buildkite::Client;

/// What `service` can be told.
#[derive(Debug, clap::Args)]
pub struct ServiceArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    platform: PlatformArgs,
    /// Govern an embedded Buildkite with a believable organization: no account needed
    #[arg(long)]
    sandbox: bool,
    /// What is logged, for instance `info` or `buildkite_connector=debug`
    #[arg(long, env = "BUILDKITE_CONNECTOR_LOG", value_name = "FILTER", default_value = "info")]
    log: String,
}

impl From<ServiceError> for CommandError {
    fn from(error: ServiceError) -> Self {
        match error {
            ServiceError::Refused(problem) => Self::Failed(problem),
            setup @ ServiceError::Setup(_) => Self::Refused(setup.to_string()),
        }
    }
}

/// Works until a signal comes, or the platform refuses this connector for good.
pub(super) async fn run(args: &ServiceArgs) -> Result<(), CommandError> {
    logging::init(&args.log)?;
    let failed = |error: &dyn std::error::Error| CommandError::Failed(error.to_string());
    let variable = |name: &str| std::env::var(name).ok();
    // The platform's settings first: a sandbox for nothing would be started otherwise.
    let options = args.platform.options(variable)?;
    let health_address = args.platform.health_address()?;
    let sandbox = if args.sandbox {
        Some(serve::start_sandbox().await?)
    } else {
        None
    };
    let settings = match &sandbox {
        Some(sandbox) => serve::for_sandbox(sandbox, &args.connection)?,
        None => Settings::read(&args.connection, variable)?,
    };
    let interval = args.connection.health.interval()?;
    let organization = settings.organization.clone();
    let client = Client::with_credential(
        settings.origin,
        settings.organization,
        settings.credential,
        args.connection.client_of_a_job(settings.client),
    )
    .map_err(|error| failed(&error))?;
    let credential = client.credential();
    let watched = Arc::clone(&credential);
    let _rotating = AbortOnDropHandle::new(tokio::spawn(async move { watched.watch().await }));
    let access = Arc::new(Governance::new(Arc::new(client), settings.access));
    let (client_id, host_id) = (options.client_id.as_str().to_owned(), options.host_id.clone());
    let syncs = Arc::new(ExportRunner::new(Arc::clone(&access)));
    let service = Service::new(Arc::clone(&access), syncs, options)?;
    let ending = signals::ending().map_err(|error| failed(&error))?;
    let pages = match health_address {
        Some(address) => Some(open_pages(&address, &service, &access).await?),
        None => None,
    };
    let health = pages.as_ref().map(|(address, _)| tracing::field::display(address));
    tracing::info!(client_id, host_id, health, %organization, sandbox = args.sandbox, "working for the platform");
    let checking = serve::keep_checking(Arc::clone(&access), credential, interval);
    let _checking = AbortOnDropHandle::new(tokio::spawn(checking));
    let ended = service.run(ending).await;
    if let Some(sandbox) = sandbox {
        sandbox.stop().await;
    }
    ended?;
    tracing::info!("ended");
    Ok(())
}

/// Answers monitors until the handle is dropped; where.
async fn open_pages(
    address: &ListenAddress,
    service: &Service,
    access: &Arc<Governance>,
) -> Result<(String, AbortOnDropHandle<()>), SettingError> {
    let listener = Listener::bind(address).await.map_err(health_problem)?;
    let bound = listener.address().map_err(health_problem)?.to_string();
    // What is wrong with the credential is nothing that strangers are told.
    let pages = service.health().router(Arc::clone(access), !address.is_remote());
    let serving = monitoring::serve_routes(listener, pages, || ());
    Ok((bound, AbortOnDropHandle::new(tokio::spawn(serving))))
}
