//! Why a setting is rejected: one sentence that names its flag and its variable.

use std::fmt;
use std::path::Path;

use clap::error::ErrorKind;
use clap::{Arg, Args, Command};

/// What is wrong with a setting, and what to do. Its text is one line without a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingError {
    /// The setting's name, such as `--listen (BUILDKITE_CONNECTOR_LISTEN)`.
    setting: String,
    /// The line of the configuration file that it is about, counted from 1.
    line: Option<usize>,
    problem: String,
}

impl SettingError {
    /// A problem with the setting that `A` declares as `--<long>`.
    pub(in crate::cli) fn of<A: Args>(long: &str, problem: impl fmt::Display) -> Self {
        Self {
            setting: name::<A>(long),
            line: None,
            problem: problem.to_string(),
        }
    }

    /// A problem with the value of a declared argument.
    pub(in crate::cli) fn of_arg(arg: &Arg, problem: impl fmt::Display) -> Self {
        Self {
            setting: name_of(arg),
            line: None,
            problem: problem.to_string(),
        }
    }

    /// A problem with a configuration file, in a line of it that is counted from 1.
    pub(in crate::cli) fn of_file(path: &Path, line: Option<usize>, problem: impl fmt::Display) -> Self {
        let path = path.display();
        Self {
            setting: line.map_or_else(|| path.to_string(), |line| format!("{path}, line {line}")),
            line,
            problem: problem.to_string(),
        }
    }

    /// A problem with a variable that has no flag.
    pub(in crate::cli) fn of_variable(variable: &str, problem: impl fmt::Display) -> Self {
        Self {
            setting: variable.to_owned(),
            line: None,
            problem: problem.to_string(),
        }
    }

    /// The line of the configuration file that it is about, counted from 1; `None` if it is about no line.
    pub(in crate::cli) fn line(&self) -> Option<usize> {
        self.line
    }
}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.setting, self.problem)
    }
}

impl std::error::Error for SettingError {}

impl From<SettingError> for clap::Error {
    /// The same line as for a setting that is rejected later: without the rejected value, the usage and a pointer to the help.
    fn from(error: SettingError) -> Self {
        Self::raw(ErrorKind::ValueValidation, format!("{error}\n"))
    }
}

/// The name of the setting that `A` declares as `--<long>`: its flag and, in parentheses, its variable.
pub(in crate::cli) fn name<A: Args>(long: &str) -> String {
    let command = A::augment_args(Command::new("settings"));
    let mut declared = command.get_arguments();
    let arg = declared.find(|arg| arg.get_long() == Some(long));
    arg.map_or_else(|| format!("--{long}"), name_of)
}

/// The name of a declared argument, in the same form.
pub(in crate::cli) fn name_of(arg: &Arg) -> String {
    let flag = match arg.get_long() {
        Some(long) => format!("--{long}"),
        // An argument that is known by its position, as `<NAME>`.
        None => arg.to_string(),
    };
    match arg.get_env() {
        Some(variable) => format!("{flag} ({})", variable.display()),
        None => flag,
    }
}
