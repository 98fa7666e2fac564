//! `serve`: the gRPC server, on a real Buildkite or on an embedded sandbox.

use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret;
use tokio::signal::unix::Signal;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use super::settings::{ConnectionArgs, ListenerArgs, SettingError, Settings, metrics_problem};
use super::{CommandError, logging, signals};
use crate::governance::Governance;
use crate::governance::health::{Report, State};
use crate::grpc::server::{Listener, Monitoring, ReloadTrigger, Reloadable, Server};
use crate::providers::buildkite::{ApiToken, Client, Credential, govern};
use crate::sandbox::{Options, Sandbox};

/// Between two checks while Buildkite cannot be asked.
const UNKNOWN: Duration = Duration::from_secs(30);

/// What `serve` can be told.
#[derive(Debug, clap::Args)]
pub struct ServeArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    listener: ListenerArgs,
    /// Serve an embedded Buildkite with an example organization: no account needed
    #[arg(long)]
    sandbox: bool,
    /// What is logged, for instance `info` or `buildkite_connector=debug`
    #[arg(long, env = "BUILDKITE_CONNECTOR_LOG", value_name = "FILTER", default_value = "info")]
    log: String,
}

/// Serves until a signal comes.
pub(super) async fn run(args: &ServeArgs) -> Result<(), CommandError> {
    logging::init(&args.log)?;
    let failed = |error: &dyn std::error::Error| CommandError::Failed(error.to_string());
    // From the start, so that a SIGHUP that comes early ends nothing.
    let hangups = signals::hangups().map_err(|error| failed(&error))?;
    let sandbox = if args.sandbox {
        Some(start_sandbox().await?)
    } else {
        None
    };
    let settings = match &sandbox {
        Some(sandbox) => for_sandbox(sandbox, &args.connection)?,
        None => Settings::read(&args.connection, |name| std::env::var(name).ok())?,
    };
    let address = args.listener.address(settings.access.provisioning)?;
    let protection = args.listener.options()?;
    let files = [
        protection.tls.as_ref().map(Reloadable::trigger),
        protection.callers.as_ref().map(Reloadable::trigger),
    ];
    let monitoring = match args.listener.metrics_address(&address)? {
        Some(address) => Some(Monitoring::open(&address).await.map_err(metrics_problem)?),
        None => None,
    };
    let interval = args.connection.health.interval()?;
    let organization = settings.organization.clone();
    let access_settings = settings.access;
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
    let access = Arc::new(govern(Arc::new(client), access_settings));
    let server = Server::new(Arc::clone(&access), protection)
        .await
        .map_err(|error| failed(&error))?;
    let ending = signals::ending_but_for_hangups().map_err(|error| failed(&error))?;
    let listener = Listener::bind(&address)
        .await
        .map_err(|error| SettingError::new("--listen", "BUILDKITE_CONNECTOR_LISTEN", error))?;
    let bound = listener.address().map_err(|error| failed(&error))?;
    let monitored = monitoring.as_ref().map(Monitoring::address).transpose();
    let monitored = monitored.map_err(|error| failed(&error))?;
    let metrics = monitored.as_ref().map(tracing::field::display);
    tracing::info!(address = %bound, metrics, %organization, sandbox = args.sandbox, "serving");
    let _monitored = monitoring.map(|monitoring| {
        let serving = monitoring.serve(Arc::clone(&access), server.shutdown_token());
        AbortOnDropHandle::new(tokio::spawn(serving))
    });
    let _checking = AbortOnDropHandle::new(tokio::spawn(keep_checking(Arc::clone(&access), credential, interval)));
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

/// Checks health at the start, whenever nothing else has for a while, and when the token was replaced, and says in one line
/// what changed. A connector that starts on a bad day heals by itself: while Buildkite cannot be asked, it is tried more often.
pub(super) async fn keep_checking(access: Arc<Governance>, credential: Arc<Credential>, interval: Duration) {
    let (mut told, mut age) = (None, interval);
    loop {
        let report = access.health().check(age, None).await;
        let now = report.worst_check().map(|worst| (worst.check, worst.state));
        if told != Some(now) {
            tell(&report);
            told = Some(now);
        }
        let pause = match report.overall {
            State::Unknown => interval.min(UNKNOWN),
            _ => interval,
        };
        age = tokio::select! {
            () = sleep(pause) => interval,
            () = credential.replaced() => {
                // What was seen of the other token is asked for again, once it is old enough to be.
                sleep(access.settings().health.min_interval).await;
                Duration::ZERO
            }
        };
    }
}

/// One line: the first of the worst, with what to do. Where all is well, what would be better otherwise is told once.
fn tell(report: &Report) {
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

/// The settings with the sandbox in Buildkite's place; its organization and token take that of the configured ones.
pub(super) fn for_sandbox(sandbox: &Sandbox, args: &ConnectionArgs) -> Result<Settings, CommandError> {
    let failed = |error: &dyn std::error::Error| CommandError::Failed(format!("the sandbox is of no use: {error}"));
    let token: ApiToken = sandbox
        .token()
        .expose_secret()
        .parse()
        .map_err(|error| failed(&error))?;
    Ok(Settings {
        origin: sandbox.url().parse().map_err(|error| failed(&error))?,
        organization: sandbox.slug().parse().map_err(|error| failed(&error))?,
        credential: token.into(),
        client: args.client()?,
        access: args.access()?,
    })
}
