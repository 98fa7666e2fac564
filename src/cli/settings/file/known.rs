//! The settings that a configuration file may have: those that the commands declare as arguments with a variable.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, Args, Command, CommandFactory};

use super::document::{Entry, Value};
use crate::cli::Cli;
use crate::cli::settings::credential::CredentialArgs;
use crate::cli::settings::error::name_of;
use crate::cli::settings::{ConnectionArgs, SettingError};
use crate::grpc::server::ListenAddress;

/// The arguments about the file itself.
pub(super) const ABOUT_FILE: [&str; 2] = ["config", "connection"];

/// The arguments to which a connection adds, where others are replaced.
pub(super) const GUARDS: [&str; 3] = ["protect_team", "protect_user", "protect_pipeline"];

/// A setting of a credential that is no part of its identity, and may stay where the credential is another.
const ENDPOINT: &str = "oauth_url";

/// The prefix of an address that is a path.
const UNIX: &str = "unix:";

/// The declared settings by their keys.
#[derive(Debug)]
pub(super) struct Known(BTreeMap<String, Arg>);

impl Known {
    /// The settings of all commands that read a file.
    pub(super) fn of_all() -> Self {
        let cli = Cli::command();
        let commands = cli.get_subcommands().filter(|command| takes_file(command));
        let declared = commands.flat_map(settings);
        Self(declared.map(|arg| (key_of(arg), arg.clone())).collect())
    }

    /// The settings that a connection may state for itself.
    pub(super) fn of_connection() -> Self {
        let command = ConnectionArgs::augment_args(Command::new("connection"));
        Self(settings(&command).map(|arg| (key_of(arg), arg.clone())).collect())
    }

    /// The settings that one of several credentials may state.
    pub(super) fn of_credential() -> Self {
        let Self(mut known) = Self::of_connection();
        known.retain(|key, _| is_of_credential(key));
        Self(known)
    }

    /// The settings by their keys.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Arg)> {
        self.0.iter().map(|(key, arg)| (key.as_str(), arg))
    }

    /// The flags that give the value of `entry` of the file at `path`, whose settings these are.
    ///
    /// # Errors
    /// There is no such setting here, or it does not accept the value.
    pub(super) fn flags(&self, path: &Path, entry: &Entry, elsewhere: &Self) -> Result<Vec<OsString>, SettingError> {
        let Entry { key, line, value } = entry;
        let wrong = |problem: String| SettingError::of_file(path, Some(*line), format!("{key}: {problem}"));
        let Some(arg) = self.0.get(key) else {
            return Err(wrong(self.unknown(key, elsewhere)));
        };
        let is_list = matches!(arg.get_action(), ArgAction::Append);
        match value {
            Value::Other if is_list => return Err(wrong("give a text or a list of texts".to_owned())),
            Value::Other => return Err(wrong("give a text, a number, `true` or `false`".to_owned())),
            Value::List(_) if !is_list => return Err(wrong("give one value, not a list".to_owned())),
            Value::One(_) | Value::List(_) => {}
        }
        let long = arg.get_long().unwrap_or_default();
        let texts = value.texts().iter();
        let flags: Vec<OsString> = texts
            .map(|text| {
                let mut flag = OsString::from(format!("--{long}="));
                flag.push(located(arg, text, path));
                flag
            })
            .collect();
        check(arg, &flags).map_err(wrong)?;
        Ok(flags)
    }

    /// What to do about a key that is not known here.
    fn unknown(&self, key: &str, elsewhere: &Self) -> String {
        if elsewhere.0.contains_key(key) {
            return "it stands at the top of the file, above the connections".to_owned();
        }
        let file = format!("{key}_file");
        if self.0.contains_key(&file) {
            return format!("a secret does not stand in this file: give the path of a file that holds it as `{file}`");
        }
        let keys = self.0.keys();
        let nearest = keys.max_by(|one, other| {
            let similarity = |other: &str| strsim::jaro_winkler(key, other);
            similarity(one).total_cmp(&similarity(other))
        });
        let nearest = nearest.map(String::as_str).unwrap_or_default();
        format!("there is no such setting; the nearest is `{nearest}`")
    }
}

/// Whether a command reads a configuration file.
fn takes_file(command: &Command) -> bool {
    command.get_arguments().any(|arg| arg.get_id() == ABOUT_FILE[0])
}

/// The arguments of a command that a file may set. One without a variable is about a single invocation.
pub(super) fn settings(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|arg| {
        let is_setting = arg.get_long().is_some() && arg.get_env().is_some();
        is_setting && !ABOUT_FILE.contains(&arg.get_id().as_str()) && !is_secret(arg)
    })
}

/// Whether the value itself is a secret, as with two flags of the Baton connectors.
fn is_secret(arg: &Arg) -> bool {
    arg.get_value_parser().type_id() == TypeId::of::<secrecy::SecretString>()
}

/// The key of a setting: its long name with underscores.
pub(super) fn key_of(arg: &Arg) -> String {
    arg.get_long().unwrap_or_default().replace('-', "_")
}

/// Whether one of several credentials may state the setting.
pub(super) fn is_of_credential(key: &str) -> bool {
    key == ENDPOINT || is_credential(key)
}

/// Whether the setting says whose credential is used.
pub(super) fn is_credential(key: &str) -> bool {
    let command = CredentialArgs::augment_args(Command::new("credential"));
    key != ENDPOINT && command.get_arguments().any(|arg| key_of(arg) == key)
}

/// The value, with a relative path made relative to the folder of the file at `file`.
fn located(arg: &Arg, text: &str, file: &Path) -> OsString {
    let at_file = |path: &str| file.parent().unwrap_or(Path::new("")).join(path);
    let of = arg.get_value_parser().type_id();
    if of == TypeId::of::<PathBuf>() && !text.is_empty() {
        return at_file(text).into();
    }
    match text.strip_prefix(UNIX) {
        Some(path) if of == TypeId::of::<ListenAddress>() && !path.is_empty() => {
            let mut address = OsString::from(UNIX);
            address.push(at_file(path));
            address
        }
        _ => text.into(),
    }
}

/// Succeeds if the argument accepts these flags.
fn check(arg: &Arg, flags: &[OsString]) -> Result<(), String> {
    let command = Command::new("file").no_binary_name(true).arg(arg.clone());
    let command = command.mut_args(|arg| arg.env(clap::builder::Resettable::Reset).required(false));
    let Err(error) = command.try_get_matches_from(flags) else {
        return Ok(());
    };
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    let problem = line.strip_prefix("error: ").unwrap_or(line);
    // The flag and its variable are not what was written.
    let flag = format!("--{}", arg.get_long().unwrap_or_default());
    let problem = problem
        .strip_prefix(&name_of(arg))
        .or(problem.strip_prefix(&flag))
        .unwrap_or(problem);
    Err(problem.trim_start_matches(": ").to_owned())
}
