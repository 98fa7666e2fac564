//! Where a value comes from: a flag, else a `BATON_` variable, else one of the connector's own, else the configuration file.
//!
//! Values that do not come from the command line are put before it as flags, so that one parser checks all of them.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};

use super::Unread;
use super::unserved;
use super::yaml::ConfigFile;
use crate::cli::settings::name_of;

/// Flags that are not settings.
const NOT_SETTINGS: [&str; 2] = ["help", "version"];

/// A value that does not come from the command line.
#[derive(Debug)]
pub(super) struct Value {
    flag: String,
    text: OsString,
    /// The variable or the key that it comes from.
    origin: String,
}

impl Value {
    /// The value as a flag.
    pub(super) fn argument(&self) -> OsString {
        let mut argument = OsString::from(format!("--{}=", self.flag));
        argument.push(&self.text);
        argument
    }
}

/// The variable of a flag.
pub(super) fn variable_of(flag: &str) -> String {
    format!("BATON_{}", flag.to_ascii_uppercase().replace('-', "_"))
}

/// The flags that are settings.
pub(super) fn settings(command: &Command) -> impl Iterator<Item = (&str, &Arg)> {
    command
        .get_arguments()
        .filter_map(|arg| Some((arg.get_long()?, arg)))
        .filter(|(flag, _)| !NOT_SETTINGS.contains(flag))
}

/// Whether a key of the file is known.
pub(super) fn is_setting(command: &Command, key: &str) -> bool {
    settings(command).any(|(flag, _)| flag == key) || unserved::known(key).is_some()
}

/// The values that do not come from the command line.
pub(super) fn fill(
    command: &Command,
    matches: &ArgMatches,
    variable: &impl Fn(&str) -> Option<OsString>,
    file: &ConfigFile,
) -> Vec<Value> {
    let mut values = Vec::new();
    for (flag, arg) in settings(command) {
        if matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine) {
            continue;
        }
        let name = variable_of(flag);
        let own = arg.get_env().and_then(|name| variable(&name.to_string_lossy()));
        let has_own = own.is_some_and(|value| !value.is_empty());
        let found = match variable(&name).filter(|value| !value.is_empty()) {
            Some(value) => Some((value, name)),
            None if has_own => None,
            None => file
                .value(flag)
                .filter(|value| !value.is_empty())
                .map(|value| (value.into(), format!("`{flag}` in {}", file.path.display()))),
        };
        values.extend(found.map(|(value, origin)| Value {
            flag: flag.to_owned(),
            text: value,
            origin,
        }));
    }
    values
}

/// The error of a value, with the source that it comes from.
pub(super) fn with_origin(command: &Command, filled: &[Value], error: clap::Error) -> Unread {
    if let Some(problem) = by_origin(command, filled, &error.to_string()) {
        return Unread::Refused(problem);
    }
    let Some(ContextValue::String(named)) = error.get(ContextKind::InvalidArg) else {
        return error.into();
    };
    let named = named.trim_start_matches('-');
    let flag = named.split([' ', '=', '[']).next().unwrap_or(named);
    let Some(value) = filled.iter().find(|value| value.flag == flag) else {
        return error.into();
    };
    let rendered = error.to_string();
    let problem = rendered.lines().next().unwrap_or_default();
    let problem = problem.trim_start_matches("error: ");
    Unread::Refused(format!("--{flag} ({}): {problem}", value.origin))
}

/// The error of a setting, which names the flag and the connector's own variable, with the origin of the value in place of that variable.
fn by_origin(command: &Command, filled: &[Value], error: &str) -> Option<String> {
    let error = error.trim_end().strip_prefix("error: ")?;
    filled.iter().find_map(|value| {
        let (flag, arg) = settings(command).find(|(flag, _)| *flag == value.flag)?;
        let problem = error.strip_prefix(&name_of(arg))?.strip_prefix(": ")?;
        Some(format!("--{flag} ({}): {problem}", value.origin))
    })
}
