//! The common parts of all jobs: settings, signals, progress and errors.

use std::io::{self, IsTerminal};
use std::str::FromStr;
use std::sync::Arc;

use super::connection::{ConnectionOrSandboxArgs, OpenConnection, environment};
use super::logging::{LogFilter, LogFormatArgs};
use super::settings::file::{ChoiceArgs, NamedConnection};
use super::settings::{Settings, parsed_by};
use super::{CommandError, logging, progress, signals};
use crate::export::{ExportError, Progress};
use crate::governance::{Governance, GovernanceError};
use crate::providers::buildkite::{CredentialForm, CredentialSpec};
use crate::sandbox::Seed;
use crate::telemetry::traces::OperationSpan;

/// The name of the span of a job.
const JOB: &str = "job";

/// The arguments of every job.
#[derive(Debug, clap::Args)]
pub struct JobArgs {
    #[command(flatten)]
    pub(super) target: ConnectionOrSandboxArgs,
    #[command(flatten)]
    choice: ChoiceArgs,
    /// Which events are logged, for instance `info` or `buildkite_connector=debug` [default: warnings; if standard error is not a
    /// terminal, also a line of progress every ten seconds]
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_LOG",
        value_name = "FILTER",
        value_parser = parsed_by(LogFilter::from_str)
    )]
    log: Option<LogFilter>,
    #[command(flatten)]
    format: LogFormatArgs,
}

/// A job that is ready to begin.
#[derive(Debug)]
pub(super) struct Job {
    connection: OpenConnection,
    has_max_wait: bool,
}

impl Job {
    /// Reads the settings. Sends no request to Buildkite.
    pub(super) async fn start(args: &JobArgs) -> Result<Self, CommandError> {
        Self::start_with(args, |settings| settings).await
    }

    /// The same with the present tokens, even if the token files change later.
    pub(super) async fn start_pinned(args: &JobArgs) -> Result<Self, CommandError> {
        Self::start_with(args, |settings| Settings {
            credentials: settings.credentials.into_iter().map(CredentialSpec::pinned).collect(),
            ..settings
        })
        .await
    }

    async fn start_with(args: &JobArgs, adjust: impl FnOnce(Settings) -> Settings) -> Result<Self, CommandError> {
        let log = args.log.clone().unwrap_or_else(|| {
            if io::stderr().is_terminal() {
                LogFilter::warnings()
            } else {
                LogFilter::warnings_and_progress()
            }
        });
        logging::init(&log, args.format.log_format);
        let named = args.target.one(&args.choice)?;
        Self::open(&named, args.target.sandbox()?, environment, adjust).await
    }

    /// Opens a job on a [`OpenConnection`], with the same arguments and errors.
    pub(super) async fn open(
        named: &NamedConnection,
        sandbox: Option<Seed>,
        variable: impl Fn(&str) -> Option<String>,
        adjust: impl FnOnce(Settings) -> Settings,
    ) -> Result<Self, CommandError> {
        let adjust = |settings| named.args.waiting_for_rate_limits(adjust(settings));
        Ok(Self {
            connection: OpenConnection::open_one(named, sandbox, variable, adjust).await?,
            has_max_wait: named.args.has_max_wait(),
        })
    }

    /// The form of each credential.
    pub(super) fn credential_forms(&self) -> Vec<CredentialForm> {
        let credentials = self.connection.credentials.iter();
        credentials.map(|credential| credential.form()).collect()
    }

    /// The organization's governance.
    pub(super) fn governance(&self) -> &Arc<Governance> {
        &self.connection.governance
    }

    /// Whether `--max-wait` is set.
    pub(super) fn has_max_wait(&self) -> bool {
        self.has_max_wait
    }

    /// Does the work and shows its progress. A signal drops the work at its next await.
    pub(super) async fn run<T>(
        &self,
        progress: &Progress,
        work: impl Future<Output = Result<T, CommandError>>,
    ) -> Result<T, CommandError> {
        let done = self.until_interrupted(progress, work).await?;
        self.limited(done)
    }

    /// Makes a change and shows its progress, if any. After a signal no new request is started, and the change in progress is finished
    /// first; the signal's exit code is then returned beside the result.
    pub(super) async fn finish<T>(
        &self,
        progress: Option<&Progress>,
        work: impl Future<Output = Result<T, GovernanceError>>,
    ) -> Result<(T, Option<u8>), CommandError> {
        let interruption = signals::interruption().map_err(|error| CommandError::Failed(error.to_string()))?;
        let span = OperationSpan::job(JOB, None);
        let mut work = std::pin::pin!(span.run(work));
        let show = async {
            match progress {
                Some(progress) => progress::show(progress, self.governance()).await,
                None => std::future::pending().await,
            }
        };
        let code = tokio::select! {
            biased;
            code = interruption => code,
            done = &mut work => return self.limited(done.map(|done| (done, None)).map_err(CommandError::from)),
            never = show => match never {},
        };
        self.governance().provisioning().stop_accepting();
        tracing::info!("interrupted: the change in progress is finished first");
        match work.await {
            Ok(done) => Ok((done, Some(code))),
            Err(GovernanceError::ShuttingDown) => Err(CommandError::Interrupted(code)),
            Err(error) => Err(CommandError::Finished(code, error.to_string())),
        }
    }

    fn limited<T>(&self, done: Result<T, CommandError>) -> Result<T, CommandError> {
        match done {
            // Without `--max-wait`, this is an error like any other.
            Err(CommandError::RateLimited(problem)) if !self.has_max_wait => Err(CommandError::Failed(problem)),
            done => done,
        }
    }

    /// The same for work with an error type of its own.
    ///
    /// # Errors
    /// [`CommandError::Interrupted`] if a signal came first.
    pub(super) async fn until_interrupted<T>(
        &self,
        progress: &Progress,
        work: impl Future<Output = T>,
    ) -> Result<T, CommandError> {
        let interruption = signals::interruption().map_err(|error| CommandError::Failed(error.to_string()))?;
        tokio::select! {
            biased;
            code = interruption => Err(CommandError::Interrupted(code)),
            done = OperationSpan::job(JOB, None).instrument(work) => Ok(done),
            never = progress::show(progress, self.governance()) => match never {},
        }
    }
}

/// The end of a command whose change was finished, with the exit code of the signal that came meanwhile, if any.
pub(super) fn ended(interrupted: Option<u8>) -> Result<(), CommandError> {
    let finished = |code| CommandError::Finished(code, "the change in progress was finished first".to_owned());
    interrupted.map_or(Ok(()), |code| Err(finished(code)))
}

impl From<GovernanceError> for CommandError {
    fn from(error: GovernanceError) -> Self {
        let message = error.to_string();
        match error {
            GovernanceError::RateLimited(_) => Self::RateLimited(message),
            GovernanceError::ProvisioningDisabled { .. } => Self::Refused(message),
            _ => Self::Failed(message),
        }
    }
}

impl From<ExportError> for CommandError {
    fn from(error: ExportError) -> Self {
        let message = error.to_string();
        match error {
            ExportError::NoSuchType(_) | ExportError::Refused { .. } => Self::Refused(message),
            ExportError::Read(error) => error.into(),
            ExportError::NoSuchTeam(_) | ExportError::Write { .. } => Self::Failed(message),
        }
    }
}
