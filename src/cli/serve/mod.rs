//! `serve`: the gRPC server, on Buildkite or on an embedded sandbox.

mod configuration;
mod monitor;
mod served;

use std::sync::Arc;

use futures::future::join_all;
use tokio::signal::unix::Signal;
use tokio_util::task::AbortOnDropHandle;

use super::connection::{ConnectionOrSandboxArgs, OpenConnection, Process, environment};
use super::logging::{LogArgs, LogFormatArgs};
use super::settings::{ListenerArgs, listen_error, metrics_listen_error};
use super::{CommandError, logging, signals};
use crate::governance::health::ConfigurationStatus;
use crate::grpc::server::{BoundAddress, Listener, Monitoring, ReloadTrigger, Reloadable, Server};
use crate::providers::buildkite::Credential;
use crate::sandbox::Sandbox;
use configuration::{Configuration, Surroundings};
pub(super) use monitor::monitor_health;
use served::{Served, ServedConnection, open};

/// The arguments of `serve`.
#[derive(Debug, clap::Args)]
pub struct ServeArgs {
    #[command(flatten)]
    pub(super) target: ConnectionOrSandboxArgs,
    #[command(flatten)]
    pub(super) listener: ListenerArgs,
    #[command(flatten)]
    log: LogArgs,
    #[command(flatten)]
    format: LogFormatArgs,
}

/// Serves until a signal arrives.
pub(super) async fn run(args: &ServeArgs) -> Result<(), CommandError> {
    logging::init(&args.log.filter, args.format.log_format);
    let failed = |error: &dyn std::error::Error| CommandError::Failed(error.to_string());
    // First, so that an early SIGHUP does not end the process.
    let hangups = signals::hangups().map_err(|error| failed(&error))?;
    let (served, sandbox) = connect(args).await?;
    let served = Arc::new(served);
    let connections = served.connections();
    let address = args.listener.address(served.allows_changes())?;
    let options = args.listener.options(&connections)?;
    let callers = options.callers.clone();
    if let Some(callers) = &callers {
        callers.current().warn_of_unusable(&connections.current());
    }
    let files = [
        options.tls.as_ref().map(Reloadable::trigger),
        options.callers.as_ref().map(Reloadable::trigger),
    ];
    let monitoring = match args.listener.metrics_address(&address)? {
        Some(address) => Some(Monitoring::open(&address).await.map_err(metrics_listen_error)?),
        None => None,
    };
    let grpc = Server::new(connections.clone(), options).await;
    let ending = signals::ending_but_for_hangups().map_err(|error| failed(&error))?;
    let listener = Listener::bind(&address).await.map_err(listen_error)?;
    let bound = listener.address().map_err(|error| failed(&error))?;
    let metrics = monitoring.as_ref().map(Monitoring::address).transpose();
    let metrics = metrics.map_err(|error| failed(&error))?;
    log_serving(&served, &bound, metrics.as_ref(), sandbox.is_some());
    let configuration = match &args.target.file.loaded {
        Some(loaded) if sandbox.is_none() => {
            let surroundings = Surroundings {
                listener: args.listener.clone(),
                callers,
                rate_limit: grpc.rate_limit(),
            };
            Some(Configuration::follow(loaded, Arc::clone(&served), surroundings))
        }
        _ => None,
    };
    let triggers = files.into_iter().flatten();
    let triggers = triggers
        .chain(configuration.as_ref().map(Configuration::trigger))
        .collect();
    let watched = Arc::clone(&served);
    let _background = [
        AbortOnDropHandle::new(tokio::spawn(reload_on_hangup(hangups, Arc::clone(&served), triggers))),
        AbortOnDropHandle::new(tokio::spawn(async move {
            Credential::watch_all(|| watched.credentials()).await;
        })),
        AbortOnDropHandle::new(tokio::spawn(monitor::monitor_all(Arc::clone(&served)))),
    ];
    let _monitored = monitoring
        .map(|monitoring| AbortOnDropHandle::new(tokio::spawn(monitoring.serve(connections, grpc.shutdown_token()))));
    grpc.run(listener, ending).await.map_err(|error| failed(&error))?;
    if let Some(sandbox) = sandbox {
        sandbox.stop().await;
    }
    tracing::info!("ended");
    Ok(())
}

/// Opens the connections of the settings, or one to a sandbox. Sends no request to Buildkite.
async fn connect(args: &ServeArgs) -> Result<(Served, Option<Sandbox>), CommandError> {
    let seed = args.target.sandbox()?;
    let is_followed = seed.is_none() && args.target.file.loaded.is_some();
    let process = Process {
        configuration: is_followed.then(|| Arc::new(ConfigurationStatus::default())),
        ..Process::default()
    };
    let (mut opened, mut sandbox) = (Vec::new(), None);
    for named in args.target.all() {
        opened.push(match seed.clone() {
            None => open(&process, &named)?,
            seed => {
                let mut open = OpenConnection::open(&process, &named, seed, environment, |settings| settings).await?;
                sandbox = open.take_sandbox();
                Arc::new(ServedConnection::new(&named, open))
            }
        });
    }
    Ok((Served::new(process, opened), sandbox))
}

fn log_serving(served: &Served, address: &BoundAddress, metrics: Option<&BoundAddress>, sandbox: bool) {
    let (in_force, metrics) = (served.in_force(), metrics.map(tracing::field::display));
    match &in_force[..] {
        [one] => {
            let organization = one.connection().governance().organization();
            tracing::info!(%address, metrics, organization, sandbox, "serving");
        }
        several => tracing::info!(%address, metrics, connections = several.len(), "serving"),
    }
}

/// Reads credentials, certificates, callers and the configuration file again at every SIGHUP, without waiting for the next poll.
async fn reload_on_hangup(mut hangups: Signal, served: Arc<Served>, triggers: Vec<ReloadTrigger>) {
    while hangups.recv().await.is_some() {
        tracing::info!("SIGHUP: credentials, certificates, callers and configuration are read again");
        for trigger in &triggers {
            trigger.fire();
        }
        let credentials = served.credentials();
        join_all(credentials.iter().map(|credential| credential.reload())).await;
    }
}
