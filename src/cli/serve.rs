//! `serve`: the gRPC server, on Buildkite or on an embedded sandbox.

use std::collections::BTreeSet;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret;
use tokio::signal::unix::Signal;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use super::logging::LogFilter;
use super::settings::{ConnectionArgs, ListenerArgs, Settings, listen_error, metrics_listen_error, parsed_by};
use super::{CommandError, logging, signals};
use crate::governance::Governance;
use crate::governance::health::{Report, State};
use crate::grpc::server::{Listener, Monitoring, ReloadTrigger, Reloadable, Server};
use crate::providers::buildkite::{ApiToken, Client, Credential, govern};
use crate::sandbox::{Options, Sandbox, TEAM_SCOPES, TokenSpec};

/// Interval of health checks while Buildkite cannot be reached.
const UNKNOWN_RETRY_INTERVAL: Duration = Duration::from_secs(30);

/// The arguments of `serve`.
#[derive(Debug, clap::Args)]
pub struct ServeArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    listener: ListenerArgs,
    /// Serve an embedded Buildkite with an example organization; needs no account
    #[arg(long)]
    sandbox: bool,
    /// Which events are logged, for instance `info` or `buildkite_connector=debug`
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_LOG",
        value_name = "FILTER",
        default_value_t = LogFilter::info(),
        value_parser = parsed_by(LogFilter::from_str)
    )]
    log: LogFilter,
}

/// Serves until a signal arrives.
pub(super) async fn run(args: &ServeArgs) -> Result<(), CommandError> {
    logging::init(&args.log);
    let failed = |error: &dyn std::error::Error| CommandError::Failed(error.to_string());
    // First, so that an early SIGHUP does not end the process.
    let hangups = signals::hangups().map_err(|error| failed(&error))?;
    let sandbox = if args.sandbox {
        Some(start_sandbox().await?)
    } else {
        None
    };
    let settings = match &sandbox {
        Some(sandbox) => sandbox_settings(sandbox, &args.connection)?,
        None => Settings::read(&args.connection, |name| std::env::var(name).ok())?,
    };
    let address = args.listener.address(!settings.coverage.allowed().is_empty())?;
    let options = args.listener.options()?;
    let files = [
        options.tls.as_ref().map(Reloadable::trigger),
        options.callers.as_ref().map(Reloadable::trigger),
    ];
    let monitoring = match args.listener.metrics_address(&address)? {
        Some(address) => Some(Monitoring::open(&address).await.map_err(metrics_listen_error)?),
        None => None,
    };
    let interval = args.connection.health.interval();
    let organization = settings.organization.clone();
    let governance_settings = settings.governance;
    let client = Client::with_credential(
        settings.origin,
        settings.organization,
        settings.credential,
        settings.client,
    )
    .map_err(|error| failed(&error))?;
    let credential = client.credential();
    let _reloading = AbortOnDropHandle::new(tokio::spawn(reload_on_hangup(
        hangups,
        Arc::clone(&credential),
        files.into_iter().flatten().collect(),
    )));
    let watched = Arc::clone(&credential);
    let _rotating = AbortOnDropHandle::new(tokio::spawn(async move { watched.watch().await }));
    let governance = Arc::new(govern(Arc::new(client), settings.coverage, governance_settings));
    let server = Server::new(Arc::clone(&governance), options)
        .await
        .map_err(|error| failed(&error))?;
    let ending = signals::ending_but_for_hangups().map_err(|error| failed(&error))?;
    let listener = Listener::bind(&address).await.map_err(listen_error)?;
    let bound = listener.address().map_err(|error| failed(&error))?;
    let metrics = monitoring.as_ref().map(Monitoring::address).transpose();
    let metrics = metrics.map_err(|error| failed(&error))?;
    let metrics = metrics.as_ref().map(tracing::field::display);
    tracing::info!(address = %bound, metrics, %organization, sandbox = args.sandbox, "serving");
    let _monitored = monitoring.map(|monitoring| {
        let serving = monitoring.serve(Arc::clone(&governance), server.shutdown_token());
        AbortOnDropHandle::new(tokio::spawn(serving))
    });
    let _checking = AbortOnDropHandle::new(tokio::spawn(monitor_health(
        Arc::clone(&governance),
        credential,
        interval,
    )));
    server.run(listener, ending).await.map_err(|error| failed(&error))?;
    if let Some(sandbox) = sandbox {
        sandbox.stop().await;
    }
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
        let pause = match report.overall {
            State::Unknown => interval.min(UNKNOWN_RETRY_INTERVAL),
            _ => interval,
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
            check = worst.check.id,
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

pub(super) async fn start_sandbox() -> Result<Sandbox, CommandError> {
    let sandbox = Sandbox::start(Options::default())
        .await
        .map_err(|error| CommandError::Failed(format!("the sandbox could not start: {error}")))?;
    tracing::info!(url = sandbox.url(), organization = sandbox.slug(), "sandbox");
    Ok(sandbox)
}

/// The settings with the sandbox's origin, organization and token in place of the configured ones.
pub(super) fn sandbox_settings(sandbox: &Sandbox, args: &ConnectionArgs) -> Result<Settings, CommandError> {
    let failed = |error: &dyn std::error::Error| CommandError::Failed(format!("the sandbox cannot be used: {error}"));
    let coverage = args.coverage()?;
    // The sandbox's own token has the scopes of team memberships. What else is covered needs more.
    let required = coverage.scopes();
    let required = required.iter().map(|scope| scope.as_str());
    let scopes: BTreeSet<&str> = TEAM_SCOPES.into_iter().chain(required).collect();
    let scopes: Vec<&str> = scopes.into_iter().collect();
    let owner = TokenSpec::owned_by(sandbox.owner()).with_description("sandbox admin");
    let token = sandbox.mint(owner.with_scopes(&scopes));
    let token: ApiToken = token.expose_secret().parse().map_err(|error| failed(&error))?;
    Ok(Settings {
        origin: sandbox.url().parse().map_err(|error| failed(&error))?,
        organization: sandbox.slug().parse().map_err(|error| failed(&error))?,
        credential: token.into(),
        client: args.client(),
        coverage,
        governance: args.governance(),
    })
}
