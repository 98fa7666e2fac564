//! Commands: parse, wire, print. What they do is decided in the rooms below.

mod baton;
mod caller;
mod change;
mod check;
mod diff;
mod disconnect;
mod job;
mod list;
mod logging;
mod plugin;
mod program;
mod progress;
pub mod sandbox;
mod serve;
mod service;
mod settings;
mod signals;
mod switches;
mod sync;
mod user;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use baton::Baton;
pub use caller::CallerArgs;
pub use change::ChangeArgs;
pub use check::CheckArgs;
pub use diff::DiffArgs;
pub use disconnect::DisconnectArgs;
pub use job::JobArgs;
pub use list::ListArgs;
pub use program::Program;
pub use serve::ServeArgs;
pub use service::ServiceArgs;
pub use settings::{ConnectionArgs, SettingError, Settings};
pub use sync::SyncArgs;

use crate::governance::provisioning::OperationKind;

/// Governs who is Member or Maintainer of which Buildkite team, for access-request platforms.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the connector over gRPC
    Serve(Box<ServeArgs>),
    /// Read the whole organization once, into a file
    Sync(Box<SyncArgs>),
    /// Print users, teams, grants or resources
    List(Box<ListArgs>),
    /// Let a user hold a role in a team
    Grant(Box<ChangeArgs>),
    /// Let a user hold a role in a team no longer
    Revoke(Box<ChangeArgs>),
    /// Show who gained and who lost what between two files of syncs
    Diff(DiffArgs),
    /// Revoke the API token at Buildkite
    Disconnect(Box<DisconnectArgs>),
    /// Make a bearer for a caller, and its entry for the callers file
    Caller(CallerArgs),
    /// Tell what works, what does not, and what to do, per scope of the token
    Check(Box<CheckArgs>),
    /// Work off an access platform's tasks, which this connects out to: no listener is opened
    Service(Box<ServiceArgs>),
    /// Serve a go-plugin host, which starts this by itself
    Plugin(Box<plugin::PluginArgs>),
    /// Run the Buildkite stand-in alone, for people who build a platform
    Sandbox(Box<sandbox::SandboxArgs>),
}

/// The exit code of wrong usage and of wrong configuration.
const WRONG_USAGE: u8 = 2;

/// How a command failed: what is said on standard error, and the exit code.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// Wrong usage or configuration.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// Something else went wrong.
    #[error("{0}")]
    Failed(String),
    /// Something that is needed does not work, and was told of already.
    #[error("unhealthy")]
    Unhealthy,
    /// What a path names is not what the command takes.
    #[error("{0}")]
    Refused(String),
    /// A rate limit would have to be waited for longer than allowed.
    #[error("{0}")]
    RateLimited(String),
    /// A signal ended the job; its exit code.
    #[error("interrupted: nothing was changed")]
    Interrupted(u8),
    /// A signal came while a change was under way, which was finished first: the exit code, and what came of the change.
    #[error("interrupted: {1}")]
    Finished(u8, String),
    /// Two files differ, as was printed.
    #[error("different")]
    Different,
}

impl CommandError {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Setting(_) | Self::Refused(_) => ExitCode::from(WRONG_USAGE),
            Self::Failed(_) | Self::Unhealthy | Self::Different => ExitCode::FAILURE,
            Self::RateLimited(_) => ExitCode::from(3),
            Self::Interrupted(code) | Self::Finished(code, _) => ExitCode::from(*code),
        }
    }
}

impl Cli {
    /// Reads the arguments of a command line, the program's name first.
    ///
    /// # Errors
    /// The exit code, once what is wrong, or the help that was asked for, has been printed.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, ExitCode> {
        let arguments: Vec<OsString> = arguments.into_iter().collect();
        Self::try_parse_from(&arguments).map_err(|error| {
            if let Some(refusal) = switches::refusal(&arguments, &error) {
                eprintln!("error: {refusal}");
                return ExitCode::from(WRONG_USAGE);
            }
            // Nothing can be said where standard output and standard error are closed.
            let _ = error.print();
            if error.use_stderr() {
                ExitCode::from(WRONG_USAGE)
            } else {
                ExitCode::SUCCESS
            }
        })
    }

    /// Runs the command; what it failed with is said in one sentence on standard error.
    pub async fn run(self) -> ExitCode {
        let done = match self.command {
            Command::Serve(args) => serve::run(&args).await,
            Command::Sync(args) => sync::run(&args).await,
            Command::List(args) => list::run(&args).await,
            Command::Grant(args) => change::run(&args, OperationKind::Grant).await,
            Command::Revoke(args) => change::run(&args, OperationKind::Revoke).await,
            Command::Diff(args) => diff::run(&args),
            Command::Disconnect(args) => disconnect::run(&args).await,
            Command::Caller(args) => caller::run(&args),
            Command::Check(args) => check::run(&args).await,
            Command::Service(args) => service::run(&args).await,
            Command::Plugin(args) => plugin::run(&args).await,
            Command::Sandbox(args) => sandbox::run(&args).await,
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(error @ (CommandError::Unhealthy | CommandError::Different)) => error.exit_code(),
            Err(error) => {
                eprintln!("error: {error}");
                error.exit_code()
            }
        }
    }
}
