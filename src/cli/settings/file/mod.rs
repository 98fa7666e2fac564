//! The configuration file: settings by their long names with underscores, and named connections.
//!
//! The settings are those that the commands declare as arguments; nothing lists them again. A flag has precedence over a variable,
//! and a variable over the top of the file. What a connection states for itself has precedence over all of them. The values of the
//! file become flags, so that one parser checks all values.

mod credentials;
mod document;
mod known;
mod layers;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

use super::value::{PathParser, parsed_by};
use super::{ConnectionArgs, SettingError};
use crate::governance::connections::ConnectionName;

pub(in crate::cli) use credentials::FileCredential;
pub(super) use credentials::credentials_of;
pub(in crate::cli) use document::Document;
pub(in crate::cli) use layers::{command_of, flags_of_file, load};

/// The argument of the file.
#[derive(Debug, Clone, clap::Args)]
pub(in crate::cli) struct FileArgs {
    /// A TOML file of settings and connections; `serve` reads it again when it changes
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_CONFIG",
        value_name = "PATH",
        value_parser = PathParser
    )]
    pub(in crate::cli) config: Option<PathBuf>,
    /// What the file says, together with flags and variables.
    #[arg(skip)]
    pub(in crate::cli) loaded: Option<Loaded>,
}

/// The argument that chooses a connection.
#[derive(Debug, Clone, clap::Args)]
pub(in crate::cli) struct ChoiceArgs {
    /// The connection of the configuration file to use, if it has several
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_CONNECTION",
        value_name = "NAME",
        value_parser = parsed_by(ConnectionName::from_str)
    )]
    pub(in crate::cli) connection: Option<ConnectionName>,
}

/// The settings of a command with a configuration file.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Loaded {
    /// The file.
    pub(in crate::cli) path: PathBuf,
    /// What the file held.
    pub(in crate::cli) text: String,
    /// The command line, the program's name first.
    pub(in crate::cli) arguments: Vec<OsString>,
    /// The connections, in the order of their names. Without any in the file, one without a name.
    pub(in crate::cli) connections: Vec<NamedConnection>,
    /// The values of the settings that no connection may state for itself, by their keys.
    pub(in crate::cli) of_process: BTreeMap<String, Vec<OsString>>,
}

/// A connection and its settings.
#[derive(Debug, Clone)]
pub(in crate::cli) struct NamedConnection {
    pub(in crate::cli) name: Option<ConnectionName>,
    /// Where the connection stands in the file.
    pub(in crate::cli) place: Option<Place>,
    /// The flags that give its settings: two connections with equal flags have equal settings.
    pub(in crate::cli) flags: Vec<OsString>,
    pub(in crate::cli) args: ConnectionArgs,
    /// Its credentials, if it has several; else `args` have the only one.
    pub(in crate::cli) credentials: Vec<FileCredential>,
}

/// A place in a file.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Place {
    pub(in crate::cli) path: PathBuf,
    /// Counted from 1.
    pub(in crate::cli) line: usize,
}

impl NamedConnection {
    /// The connection that flags and variables describe.
    pub(in crate::cli) fn unnamed(args: &ConnectionArgs) -> Self {
        Self {
            name: None,
            place: None,
            flags: Vec::new(),
            args: args.clone(),
            credentials: Vec::new(),
        }
    }

    /// The error with the connection that it is about.
    pub(in crate::cli) fn error(&self, error: SettingError) -> SettingError {
        match (&self.name, &self.place) {
            (Some(name), Some(Place { path, line })) => {
                SettingError::of_file(path, Some(*line), format!("[connection.{name}]: {error}"))
            }
            _ => error,
        }
    }
}

impl FileArgs {
    /// All connections; `args` are the settings of the only one without a file.
    pub(in crate::cli) fn connections(&self, args: &ConnectionArgs) -> Vec<NamedConnection> {
        match &self.loaded {
            Some(loaded) => loaded.connections.clone(),
            None => vec![NamedConnection::unnamed(args)],
        }
    }

    /// The connection that `choice` names, or the only one.
    ///
    /// # Errors
    /// There is none of this name, or there are several and none is named.
    pub(in crate::cli) fn one(
        &self,
        args: &ConnectionArgs,
        choice: &ChoiceArgs,
    ) -> Result<NamedConnection, SettingError> {
        let wrong = |problem: String| SettingError::of::<ChoiceArgs>("connection", problem);
        let mut connections = self.connections(args);
        let names: Vec<String> = connections
            .iter()
            .filter_map(|connection| Some(format!("`{}`", connection.name.as_ref()?)))
            .collect();
        let found = match &choice.connection {
            Some(name) => {
                let found = connections
                    .iter()
                    .position(|connection| connection.name.as_ref() == Some(name));
                found.ok_or_else(|| match &names[..] {
                    [] => {
                        wrong("no configuration file names a connection: leave this out, or give --config".to_owned())
                    }
                    names => wrong(format!(
                        "there is no connection `{name}`: give one of {}",
                        names.join(", ")
                    )),
                })?
            }
            None if connections.len() > 1 => {
                return Err(wrong(format!("give one of the connections {}", names.join(", "))));
            }
            None => 0,
        };
        Ok(connections.swap_remove(found))
    }
}
