//! `serve`: the gRPC server, on Buildkite or on an embedded sandbox.

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use super::connection::{Connection, ConnectionOrSandboxArgs, environment};
use super::logging::{LogArgs, LogFormatArgs};
use super::settings::{ListenerArgs, listen_error, metrics_listen_error};
use super::{CommandError, logging, signals};
use crate::governance::health::{CheckResult, Report, State};
use crate::governance::{Governance, GovernanceError};
use crate::grpc::server::{Listener, Monitoring, ReloadTrigger, Reloadable, Server};
use crate::providers::buildkite::Credential;

/// Interval of health checks while Buildkite cannot be reached.
const UNKNOWN_RETRY_INTERVAL: Duration = Duration::from_secs(30);

/// The arguments of `serve`.
#[derive(Debug, clap::Args)]
pub struct ServeArgs {
    #[command(flatten)]
    target: ConnectionOrSandboxArgs,
    #[command(flatten)]
    listener: ListenerArgs,
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
    let connection = &args.target.connection;
    let seed = args.target.sandbox()?;
    let sandbox = seed.is_some();
    let interval = connection.health.interval();
    let connection = Connection::open(connection, seed, environment, |settings| settings).await?;
    let governance = &connection.governance;
    let address = args.listener.address(!connection.coverage.allowed().is_empty())?;
    let options = args.listener.options()?;
    let files = [
        options.tls.as_ref().map(Reloadable::trigger),
        options.callers.as_ref().map(Reloadable::trigger),
    ];
    let monitoring = match args.listener.metrics_address(&address)? {
        Some(address) => Some(Monitoring::open(&address).await.map_err(metrics_listen_error)?),
        None => None,
    };
    let _reloading = AbortOnDropHandle::new(tokio::spawn(reload_on_hangup(
        hangups,
        Arc::clone(&connection.credential),
        files.into_iter().flatten().collect(),
    )));
    let server = Server::new(Arc::clone(governance), options).await;
    let ending = signals::ending_but_for_hangups().map_err(|error| failed(&error))?;
    let listener = Listener::bind(&address).await.map_err(listen_error)?;
    let bound = listener.address().map_err(|error| failed(&error))?;
    let metrics = monitoring.as_ref().map(Monitoring::address).transpose();
    let metrics = metrics.map_err(|error| failed(&error))?;
    let metrics = metrics.as_ref().map(tracing::field::display);
    tracing::info!(address = %bound, metrics, organization = governance.organization(), sandbox, "serving");
    let _monitored = monitoring.map(|monitoring| {
        let serving = monitoring.serve(Arc::clone(governance), server.shutdown_token());
        AbortOnDropHandle::new(tokio::spawn(serving))
    });
    let _checking = AbortOnDropHandle::new(tokio::spawn(monitor_health(
        Arc::clone(governance),
        Arc::clone(&connection.credential),
        interval,
    )));
    server.run(listener, ending).await.map_err(|error| failed(&error))?;
    connection.close().await;
    tracing::info!("ended");
    Ok(())
}

/// Reloads the token, certificates and callers at every SIGHUP, without waiting for the next poll.
async fn reload_on_hangup(mut hangups: Signal, credential: Arc<Credential>, triggers: Vec<ReloadTrigger>) {
    while hangups.recv().await.is_some() {
        tracing::info!("SIGHUP: token, certificates and callers are read again");
        for trigger in &triggers {
            trigger.fire();
        }
        credential.reload().await;
    }
}

/// Checks health at the start, when no call has done so for `interval`, and when the token was replaced, and logs each change in one
/// line. While Buildkite cannot be reached, it is checked more often, so that a connector that starts during an outage recovers.
pub(super) async fn monitor_health(governance: Arc<Governance>, credential: Arc<Credential>, interval: Duration) {
    let (mut logged, mut age) = (None, interval);
    loop {
        let report = governance.health().check(age, None).await;
        let now = report.worst_check().map(|worst| (worst.check, worst.state));
        if logged != Some(now) {
            log_health(&report);
            logged = Some(now);
        }
        let is_outage = |worst: &CheckResult| matches!(worst.error, Some(GovernanceError::Unavailable { .. }));
        let pause = if report.overall == State::Unknown || report.worst_check().is_some_and(is_outage) {
            interval.min(UNKNOWN_RETRY_INTERVAL)
        } else {
            interval
        };
        age = tokio::select! {
            () = sleep(pause) => interval,
            () = credential.replaced() => {
                // Evidence about the other token is refreshed as soon as its age allows.
                sleep(governance.settings().health.min_interval).await;
                Duration::ZERO
            }
        };
    }
}

/// Logs the first of the worst checks with its remedy, or, if all are healthy, the hints.
fn log_health(report: &Report) {
    if let Some(worst) = report.worst_check() {
        tracing::warn!(
            organization = report.organization,
            state = worst.state.as_str(),
            check = &*worst.id(),
            remedy = worst.remedy,
            "buildkite: {}",
            worst.summary
        );
        return;
    }
    tracing::info!(
        organization = report.organization,
        "buildkite: everything that is needed works"
    );
    for hint in report.hints() {
        tracing::info!(organization = report.organization, "hint: {hint}");
    }
}
