//! Commands: parse, wire, print. What they do is decided in the rooms below.

mod caller;
mod check;
mod guards;
mod logging;
mod plugin;
pub mod sandbox;
mod serve;
mod settings;
mod signals;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use caller::CallerArgs;
pub use check::CheckArgs;
pub use serve::ServeArgs;
pub use settings::{ConnectionArgs, SettingError, Settings};

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
    /// Make a bearer for a caller, and its entry for the callers file
    Caller(CallerArgs),
    /// Tell what works, what does not, and what to do, per scope of the token
    Check(Box<CheckArgs>),
    /// Serve a go-plugin host, which starts this by itself
    Plugin(Box<plugin::PluginArgs>),
    /// Run the Buildkite stand-in alone, for people who build a platform
    Sandbox(Box<sandbox::SandboxArgs>),
}

/// How a command failed: what is said on standard error, and the exit code.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// Wrong usage or configuration.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// Wrong usage that no single setting is the cause of.
    #[error("{0}")]
    Usage(String),
    /// Something else went wrong.
    #[error("{0}")]
    Failed(String),
    /// Something that is needed does not work, and was told of already.
    #[error("unhealthy")]
    Unhealthy,
}

impl CommandError {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Setting(_) | Self::Usage(_) => ExitCode::from(2),
            Self::Failed(_) | Self::Unhealthy => ExitCode::FAILURE,
        }
    }
}

impl Cli {
    /// Runs the command; what it failed with is said in one sentence on standard error.
    pub async fn run(self) -> ExitCode {
        let done = match self.command {
            Command::Serve(args) => serve::run(&args).await,
            Command::Caller(args) => caller::run(&args),
            Command::Check(args) => check::run(&args).await,
            Command::Plugin(args) => plugin::run(&args).await,
            Command::Sandbox(args) => sandbox::run(&args)
                .await
                .map_err(|error| CommandError::Failed(format!("the sandbox ended: {error}"))),
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(error @ CommandError::Unhealthy) => error.exit_code(),
            Err(error) => {
                eprintln!("error: {error}");
                error.exit_code()
            }
        }
    }
}
