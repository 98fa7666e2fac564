//! The commands: each parses its arguments, connects the modules that do the work, and prints the result.

mod baton;
mod caller;
mod change;
mod check;
mod connection;
mod diff;
mod disconnect;
mod job;
mod list;
mod logging;
mod manual;
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
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::Resettable;
use clap::error::ErrorKind;
use clap::{Arg, ArgMatches, Command as CommandLine, CommandFactory, FromArgMatches, Parser, Subcommand};

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
use settings::ListenerArgs;
use settings::file::{Document, FileArgs, Loaded, command_of, flags_of_file, load};

/// The version, with the commit and the date of the build.
const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (",
    env!("BUILD_COMMIT"),
    ", ",
    env!("BUILD_DATE"),
    ")"
);

/// Governs the team memberships of a Buildkite organization for access-request platforms.
#[derive(Debug, Parser)]
#[command(version = VERSION, about, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the connector over gRPC
    Serve(Box<ServeArgs>),
    /// Read the whole organization into a file
    Sync(Box<SyncArgs>),
    /// Print users, teams, grants or resources
    List(Box<ListArgs>),
    /// Grant a user a role in a team
    Grant(Box<ChangeArgs>),
    /// Revoke a user's role in a team
    Revoke(Box<ChangeArgs>),
    /// Show the roles that were gained and lost between two files of `sync`
    Diff(DiffArgs),
    /// Revoke the API token at Buildkite
    Disconnect(Box<DisconnectArgs>),
    /// Generate a caller's bearer token and its entry for the callers file
    Caller(CallerArgs),
    /// Check the token's scopes and print what to fix
    Check(Box<CheckArgs>),
    /// Carry out an access platform's tasks, over an outgoing connection; needs no listener
    Service(Box<ServiceArgs>),
    /// Serve the go-plugin host that started this process
    Plugin(Box<plugin::PluginArgs>),
    /// Run the Buildkite stand-in on its own, to develop a platform against it
    Sandbox(Box<sandbox::SandboxArgs>),
    /// Print the completion script of a shell
    Completions(manual::CompletionsArgs),
    /// Print the manual page, in the format of `man`
    Man(manual::ManArgs),
}

/// The exit code for wrong usage and for wrong configuration.
const WRONG_USAGE: u8 = 2;

/// How a command failed: the sentence on standard error, and the exit code.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// Wrong usage or configuration.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// Something else went wrong.
    #[error("{0}")]
    Failed(String),
    /// Something that is needed does not work, as was printed.
    #[error("unhealthy")]
    Unhealthy,
    /// An argument that the command does not accept.
    #[error("{0}")]
    Refused(String),
    /// The wait for a rate limit would exceed `--max-wait`.
    #[error("{0}")]
    RateLimited(String),
    /// A signal ended the job; the exit code.
    #[error("interrupted: nothing was changed")]
    Interrupted(u8),
    /// A signal came during a change, which was finished first: the exit code, and the result of the change.
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
    /// The exit code, after the error, or the requested help, has been printed.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, ExitCode> {
        let arguments: Vec<OsString> = arguments.into_iter().collect();
        Self::parse_again(&arguments).map_err(|problem| {
            let error = match problem {
                Unread::Setting(error) => {
                    eprintln!("error: {error}");
                    return ExitCode::from(WRONG_USAGE);
                }
                Unread::CommandLine(error) => error,
            };
            let declared = command_line(|arg| arg);
            if let Some(rejection) = switches::rejection(&declared, &arguments, &error) {
                eprintln!("error: {rejection}");
                return ExitCode::from(WRONG_USAGE);
            }
            // The help names the variables that are set to nothing, too.
            let error = match error.kind() {
                ErrorKind::DisplayHelp => declared.try_get_matches_from(&arguments).err().unwrap_or(error),
                _ => error,
            };
            // Nothing can be printed if standard output and standard error are closed.
            let _ = error.print();
            if error.use_stderr() {
                ExitCode::from(WRONG_USAGE)
            } else {
                ExitCode::SUCCESS
            }
        })
    }

    /// Reads the arguments of a command line, the program's name first, together with the configuration file as it is now.
    fn parse_again(arguments: &[OsString]) -> Result<Self, Unread> {
        let cli = command_line(without_empty_variable);
        let matches = cli.clone().try_get_matches_from(arguments)?;
        let Some(path) = command_of(&cli, &matches).and_then(|(_, matches)| file_of(matches)) else {
            return Ok(Self::from_arg_matches(&matches)?);
        };
        let (command, of_command) = command_of(&cli, &matches).unwrap_or((&cli, &matches));
        let document = Document::read(&path)?;
        let flags = flags_of_file(&document, command, of_command)?;
        // Behind the command, before arguments that are known by their position.
        let behind_command = 2.min(arguments.len());
        let mut all = arguments.to_vec();
        all.splice(behind_command..behind_command, flags);
        let matches = cli.clone().try_get_matches_from(&all)?;
        let mut read = Self::from_arg_matches(&matches)?;
        if let Some((command, of_command)) = command_of(&cli, &matches)
            && let Some(file) = read.command.file()
        {
            file.loaded = Some(load(document, arguments, command, of_command)?);
        }
        Ok(read)
    }

    /// Reads the command line of `serve` again, together with the configuration file as it is now.
    ///
    /// # Errors
    /// The file cannot be used, or the command line is another command's.
    fn serve_again(arguments: &[OsString]) -> Result<(ListenerArgs, Loaded), SettingError> {
        let wrong = |problem: &str| SettingError::of_variable("--config", problem);
        let read = Self::parse_again(arguments).map_err(|problem| match problem {
            Unread::Setting(error) => error,
            Unread::CommandLine(error) => {
                let text = error.to_string();
                let line = text.lines().next().unwrap_or_default();
                wrong(line.strip_prefix("error: ").unwrap_or(line))
            }
        })?;
        match read.command {
            Command::Serve(args) => Some(args.listener).zip(args.target.file.loaded),
            _ => None,
        }
        .ok_or_else(|| wrong("only `serve` follows a configuration file"))
    }

    /// Runs the command, and prints its error as one sentence on standard error.
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
            Command::Completions(args) => manual::completions(&args),
            Command::Man(args) => manual::page(&args),
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

/// Why a command line cannot be used.
#[derive(Debug)]
enum Unread {
    /// A setting of the configuration file is wrong.
    Setting(SettingError),
    /// What the parser rejects; help and version are among it.
    CommandLine(clap::Error),
}

impl From<SettingError> for Unread {
    fn from(error: SettingError) -> Self {
        Self::Setting(error)
    }
}

impl From<clap::Error> for Unread {
    fn from(error: clap::Error) -> Self {
        Self::CommandLine(error)
    }
}

impl Command {
    /// What the command reads of a configuration file, if it uses one.
    fn file(&mut self) -> Option<&mut FileArgs> {
        match self {
            Self::Serve(args) => Some(&mut args.target.file),
            Self::Sync(args) => Some(&mut args.job.target.file),
            Self::List(args) => Some(&mut args.job.target.file),
            Self::Grant(args) | Self::Revoke(args) => Some(&mut args.job.target.file),
            Self::Disconnect(args) => Some(&mut args.job.target.file),
            Self::Check(args) => Some(&mut args.target.file),
            Self::Service(args) => Some(&mut args.target.file),
            Self::Plugin(args) => Some(&mut args.file),
            Self::Diff(_) | Self::Caller(_) | Self::Sandbox(_) | Self::Completions(_) | Self::Man(_) => None,
        }
    }
}

/// The path of the configuration file, if one is given.
fn file_of(matches: &ArgMatches) -> Option<PathBuf> {
    matches.try_get_one::<PathBuf>("config").ok().flatten().cloned()
}

/// The declared command line, with `adjust` applied to every argument of a command. Its help shows no variable's value, because a
/// value may hold a secret, such as the password of a URL.
fn command_line(adjust: impl Fn(Arg) -> Arg) -> CommandLine {
    let adjust = |arg: Arg| adjust(arg.hide_env_values(true));
    Cli::command().mut_subcommands(|command| command.mut_args(adjust))
}

/// An empty variable counts as not set, as in containers that declare every variable.
fn without_empty_variable(arg: Arg) -> Arg {
    let value = arg.get_env().and_then(std::env::var_os);
    if value.is_some_and(|value| value.is_empty()) {
        arg.env(Resettable::Reset)
    } else {
        arg
    }
}
