//! What all jobs have in common: their settings, their signals, their progress, and how they fail.

use std::io::{self, IsTerminal};
use std::sync::Arc;

use tokio_util::task::AbortOnDropHandle;

use super::settings::{ConnectionArgs, Settings};
use super::{CommandError, logging, progress, serve, signals};
use crate::export::{ExportError, Progress};
use crate::governance::{Governance, GovernanceError};
use crate::providers::buildkite::{Client, govern};
use crate::sandbox::Sandbox;

/// What is logged on a terminal, where a bar shows the progress, and elsewhere.
const LOG_OF_A_TERMINAL: &str = "warn";
const LOG: &str = "warn,buildkite_connector::cli=info";

/// What every job can be told.
#[derive(Debug, clap::Args)]
pub struct JobArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    /// Use an embedded Buildkite with an example organization: no account needed
    #[arg(long)]
    sandbox: bool,
    /// What is logged, for instance `info` or `buildkite_connector=debug` [default: warnings, and progress where there is no terminal]
    #[arg(long, env = "BUILDKITE_CONNECTOR_LOG", value_name = "FILTER")]
    log: Option<String>,
}

/// A job that is ready to begin.
#[derive(Debug)]
pub(super) struct Job {
    access: Arc<Governance>,
    has_max_wait: bool,
    /// The stand-in that the job reads; it ends with the job.
    _sandbox: Option<Sandbox>,
    /// Reads the token's file again when it changes.
    _rotation: AbortOnDropHandle<()>,
}

impl Job {
    /// Reads the settings. Nothing is asked of Buildkite yet.
    pub(super) async fn start(args: &JobArgs) -> Result<Self, CommandError> {
        Self::start_with(args, |settings| settings).await
    }

    /// The same with the token that is there now, whatever the token's file holds later.
    pub(super) async fn start_pinned(args: &JobArgs) -> Result<Self, CommandError> {
        Self::start_with(args, |settings| Settings {
            credential: settings.credential.pinned(),
            ..settings
        })
        .await
    }

    async fn start_with(args: &JobArgs, adjust: impl FnOnce(Settings) -> Settings) -> Result<Self, CommandError> {
        let unless_given = if io::stderr().is_terminal() {
            LOG_OF_A_TERMINAL
        } else {
            LOG
        };
        let given = args.log.as_deref().filter(|filter| !filter.is_empty());
        logging::init(given.unwrap_or(unless_given))?;
        Self::open(&args.connection, args.sandbox, |name| std::env::var(name).ok(), adjust).await
    }

    /// Opens a job on the connection that the settings describe, or on a sandbox. `variable` is the environment; `adjust` has the
    /// last word on the settings.
    ///
    /// # Errors
    /// A setting is wrong or missing, or the sandbox or the client cannot be made.
    pub(super) async fn open(
        connection: &ConnectionArgs,
        sandbox: bool,
        variable: impl Fn(&str) -> Option<String>,
        adjust: impl FnOnce(Settings) -> Settings,
    ) -> Result<Self, CommandError> {
        let sandbox = if sandbox {
            Some(serve::start_sandbox().await?)
        } else {
            None
        };
        let settings = match &sandbox {
            Some(sandbox) => serve::for_sandbox(sandbox, connection)?,
            None => Settings::read(connection, variable)?,
        };
        let settings = adjust(settings);
        let client = Client::with_credential(
            settings.origin,
            settings.organization,
            settings.credential,
            connection.client_of_a_job(settings.client),
        )
        .map_err(|error| CommandError::Failed(error.to_string()))?;
        let credential = client.credential();
        Ok(Self {
            access: Arc::new(govern(Arc::new(client), settings.access)),
            has_max_wait: connection.has_max_wait(),
            _sandbox: sandbox,
            _rotation: AbortOnDropHandle::new(tokio::spawn(async move { credential.watch().await })),
        })
    }

    /// The organization's governance.
    pub(super) fn access(&self) -> &Arc<Governance> {
        &self.access
    }

    /// Whether a longest wait for a rate limit was given.
    pub(super) fn has_max_wait(&self) -> bool {
        self.has_max_wait
    }

    /// Does the work and shows its progress. A signal drops the work where it is.
    pub(super) async fn run<T>(
        &self,
        progress: &Progress,
        work: impl Future<Output = Result<T, CommandError>>,
    ) -> Result<T, CommandError> {
        let done = self.until_interrupted(progress, work).await?;
        self.limited(done)
    }

    /// Makes a change and shows its progress, if any. After a signal nothing new is begun, and what was begun is finished first: then
    /// the signal's exit code is returned beside what was done.
    pub(super) async fn finish<T>(
        &self,
        progress: Option<&Progress>,
        work: impl Future<Output = Result<T, GovernanceError>>,
    ) -> Result<(T, Option<u8>), CommandError> {
        let interruption = signals::interruption().map_err(|error| CommandError::Failed(error.to_string()))?;
        let mut work = std::pin::pin!(work);
        let show = async {
            match progress {
                Some(progress) => progress::show(progress, &self.access).await,
                None => std::future::pending().await,
            }
        };
        let code = tokio::select! {
            biased;
            code = interruption => code,
            done = &mut work => return self.limited(done.map(|done| (done, None)).map_err(CommandError::from)),
            never = show => match never {},
        };
        self.access.provisioning().stop_accepting();
        tracing::info!("interrupted: what was begun is finished first");
        match work.await {
            Ok(done) => Ok((done, Some(code))),
            Err(GovernanceError::ShuttingDown) => Err(CommandError::Interrupted(code)),
            Err(error) => Err(CommandError::Finished(code, error.to_string())),
        }
    }

    fn limited<T>(&self, done: Result<T, CommandError>) -> Result<T, CommandError> {
        match done {
            // Without a longest wait that was given, this is trouble like any other.
            Err(CommandError::RateLimited(problem)) if !self.has_max_wait => Err(CommandError::Failed(problem)),
            done => done,
        }
    }

    /// Does work that fails in words of its own, and shows its progress. A signal drops the work where it is.
    ///
    /// # Errors
    /// [`CommandError::Interrupted`] where a signal came first.
    pub(super) async fn until_interrupted<T>(
        &self,
        progress: &Progress,
        work: impl Future<Output = T>,
    ) -> Result<T, CommandError> {
        let interruption = signals::interruption().map_err(|error| CommandError::Failed(error.to_string()))?;
        tokio::select! {
            biased;
            code = interruption => Err(CommandError::Interrupted(code)),
            done = work => Ok(done),
            never = progress::show(progress, &self.access) => match never {},
        }
    }
}

impl From<GovernanceError> for CommandError {
    fn from(error: GovernanceError) -> Self {
        let said = error.to_string();
        match error {
            GovernanceError::RateLimited(_) => Self::RateLimited(said),
            GovernanceError::ProvisioningDisabled => Self::Refused(said),
            _ => Self::Failed(said),
        }
    }
}

impl From<ExportError> for CommandError {
    fn from(error: ExportError) -> Self {
        let said = error.to_string();
        match error {
            ExportError::Refused { .. } => Self::Refused(said),
            ExportError::Read(error) => error.into(),
            ExportError::NoSuchTeam(_) | ExportError::Write { .. } => Self::Failed(said),
        }
    }
}
