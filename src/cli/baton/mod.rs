//! `baton-buildkite`: the command line that all Baton connectors share.
//!
//! [`flags`] has the flags, [`unserved`] those of other Baton connectors that this one refuses, [`sources`] the sources of a value
//! (flag, environment, `.baton.yaml`), [`task`] the mode that the flags select. [`sync`], [`provision`], [`lifecycle`] and [`actions`] run once, [`service`] is
//! service mode, [`child`] serves a runner that started this process, [`subcommands`] are the rest. [`error`] has the exit codes.

mod actions;
mod child;
mod error;
mod flags;
mod health_check;
mod lifecycle;
mod provision;
mod schema;
mod service;
mod sources;
mod subcommands;
mod sync;
mod task;
mod unserved;
mod yaml;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::builder::Resettable;
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches};
use secrecy::SecretString;

use super::settings::SettingError;
use super::settings::file::{Document, flags_of_file, load};
use super::{WRONG_USAGE, file_of, logging, without_empty_variable};
use crate::telemetry::redact::mask;
use error::BatonError;
use flags::{Flags, Subcommand};
use task::Task;

/// The program name of this command line.
pub(super) const NAME: &str = "baton-buildkite";

/// Whether a Baton runner starts its child with these arguments.
pub(super) fn is_child(arguments: &[OsString]) -> bool {
    child::arguments_of_runner(arguments).is_some()
}

/// Flags whose value is a secret.
const SECRETS: [&str; 2] = ["api-token", "client-secret"];

/// A parsed command line.
#[derive(Debug)]
pub struct Baton {
    flags: Flags,
    /// Whether a runner started this process as its child.
    is_child: bool,
    /// Secrets that were given as flags, which other users of the machine can see.
    exposed: Vec<&'static str>,
    /// Unknown keys of the configuration file.
    unknown_keys: Vec<String>,
}

impl Baton {
    /// Reads a command line, the program's name first, and fills in what the environment and the configuration file say.
    ///
    /// # Errors
    /// The exit code, after the error or the help was printed.
    pub fn read(arguments: &[OsString]) -> Result<Self, ExitCode> {
        let variable = |name: &str| std::env::var_os(name);
        Self::from(arguments, &variable).map_err(|refusal| match refusal {
            Unread::Refused(problem) => {
                eprintln!("error: {}", mask(&problem));
                ExitCode::from(WRONG_USAGE)
            }
            Unread::Printed(error) if error.use_stderr() => {
                // The message quotes arguments, and a misplaced one may be a secret.
                eprint!("{}", mask(&error.to_string()));
                ExitCode::from(WRONG_USAGE)
            }
            Unread::Printed(error) => {
                // Standard output may be closed.
                let _ = error.print();
                ExitCode::SUCCESS
            }
        })
    }

    fn from(arguments: &[OsString], variable: &impl Fn(&str) -> Option<OsString>) -> Result<Self, Unread> {
        let of_runner = child::arguments_of_runner(arguments);
        let is_child = of_runner.is_some();
        let arguments = of_runner.unwrap_or(arguments);
        let command = if is_child {
            unserved::accepted(command())
        } else {
            unserved::flag(arguments).map_err(Unread::Refused)?;
            command()
        };
        let matches = given(&command, arguments)?;
        let file = yaml::read(variable).map_err(Unread::Refused)?;
        if !is_child {
            unserved::elsewhere(variable, &file).map_err(Unread::Refused)?;
        }
        let filled = sources::fill(&command, &matches, variable, &file);
        let unknown_keys = file.keys_without(|key| sources::is_setting(&command, key)).collect();
        let exposed = SECRETS.into_iter().filter(|flag| is_exposed(&matches, flag)).collect();
        let all = arguments
            .first()
            .into_iter()
            .cloned()
            .chain(filled.iter().map(sources::Value::argument))
            .chain(arguments.iter().skip(1).cloned());
        let command = command.mut_args(without_empty_variable);
        let mut all: Vec<OsString> = all.collect();
        let parse = |all: &[OsString]| {
            let matches = command.clone().try_get_matches_from(all);
            matches.map_err(|error| sources::with_origin(&command, &filled, error))
        };
        let mut matches = parse(&all)?;
        let document = file_of(&matches).map(|path| Document::read(&path)).transpose()?;
        if let Some(document) = &document {
            let flags = flags_of_file(document, &command, &matches)?;
            // Behind the program's name.
            let first = 1.min(all.len());
            all.splice(first..first, flags);
            matches = parse(&all)?;
        }
        let mut flags = Flags::from_arg_matches(&matches)?;
        if let Some(document) = document {
            flags.config.loaded = Some(load(document, arguments, &command, &matches)?);
        }
        Ok(Self {
            flags,
            is_child,
            exposed,
            unknown_keys,
        })
    }

    /// Runs the command; a failure is printed as one sentence on standard error.
    pub async fn run(self) -> ExitCode {
        match self.done().await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: {}", mask(&error.to_string()));
                error.exit_code()
            }
        }
    }

    async fn done(self) -> Result<(), BatonError> {
        let Self {
            flags,
            is_child,
            exposed,
            unknown_keys,
        } = self;
        match &flags.subcommand {
            Some(Subcommand::Capabilities) => return subcommands::capabilities(&flags),
            Some(Subcommand::Config) => return subcommands::config(&command()),
            Some(Subcommand::HealthCheck(options)) => return health_check::run(&flags.service, options).await,
            Some(Subcommand::Completion { shell }) => return subcommands::completion(&mut command(), *shell),
            None => {}
        }
        logging::init(&flags.log.filter(), flags.log.format());
        for flag in exposed {
            tracing::warn!(
                "--{flag} shows a secret to other users of this machine: set {} instead",
                sources::variable_of(flag)
            );
        }
        for key in unknown_keys {
            tracing::warn!(key, "the configuration file has an unknown key, which is ignored");
        }
        if is_child {
            return child::run(&flags).await;
        }
        match Task::of(&flags)? {
            Task::Serve(settings) => service::start(&flags, *settings).await,
            Task::Sync(options) => sync::run(&flags, &options).await,
            Task::Grant(request) => provision::grant(&flags, request).await,
            Task::Revoke(grant) => provision::revoke(&flags, &grant).await,
            Task::CreateAccount(request) => lifecycle::create_account(&flags, &request).await,
            Task::Delete(resource) => lifecycle::delete(&flags, resource).await,
            Task::Act(call) => actions::invoke(&flags, *call).await,
            Task::ListActions(resource_type) => actions::list(&flags, &resource_type),
        }
    }
}

/// Why a command line was not read.
enum Unread {
    /// In one sentence.
    Refused(String),
    /// In the parser's own words; help and version are among them.
    Printed(clap::Error),
}

impl From<SettingError> for Unread {
    fn from(error: SettingError) -> Self {
        Self::Refused(error.to_string())
    }
}

impl From<clap::Error> for Unread {
    fn from(error: clap::Error) -> Self {
        Self::Printed(error)
    }
}

/// The command line: flags may come before or after a subcommand.
fn command() -> clap::Command {
    Flags::command()
        .name(NAME)
        .bin_name(NAME)
        .mut_arg("provisioning", |arg| arg.short('p'))
        .mut_args(|arg| arg.global(true).hide_env_values(true))
}

/// What the command line itself gives, without the environment, which may have a value that is replaced by another source.
fn given(command: &clap::Command, arguments: &[OsString]) -> Result<ArgMatches, clap::Error> {
    let without_variables = command.clone().mut_args(|arg| arg.env(Resettable::Reset));
    without_variables.try_get_matches_from(arguments).map_err(|error| {
        // The help, and an error about a value, name the variable too.
        let declared = command.clone().try_get_matches_from(arguments);
        declared.err().unwrap_or(error)
    })
}

fn is_exposed(matches: &ArgMatches, flag: &str) -> bool {
    let id = flag.replace('-', "_");
    let source = matches.value_source(&id);
    source == Some(ValueSource::CommandLine) && matches.get_one::<SecretString>(&id).is_some()
}
