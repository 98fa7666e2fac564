//! One binary, two command lines: the program name selects one. The child of a Baton runner has the runner's arguments, so it has
//! the command line of the Baton connectors under every name.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use super::Cli;
use super::baton::{self, Baton};
use crate::telemetry::traces;

/// A parsed command line.
#[derive(Debug)]
pub enum Program {
    /// The connector's own.
    Connector(Box<Cli>),
    /// That of the Baton connectors.
    Baton(Box<Baton>),
}

impl Program {
    /// Reads the arguments of a process, the program's name first.
    ///
    /// # Errors
    /// The exit code, after the error or the help was printed.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, ExitCode> {
        let arguments: Vec<OsString> = arguments.into_iter().collect();
        let name = arguments.first().and_then(|program| Path::new(program).file_name());
        if name.is_some_and(|name| name == baton::NAME) || baton::is_child(&arguments) {
            Ok(Self::Baton(Box::new(Baton::read(&arguments)?)))
        } else {
            Ok(Self::Connector(Box::new(Cli::read(arguments)?)))
        }
    }

    /// Runs the command, and exports what is left of its traces. A failure is printed as one sentence on standard error.
    pub async fn run(self) -> ExitCode {
        let code = match self {
            Self::Connector(cli) => cli.run().await,
            Self::Baton(baton) => baton.run().await,
        };
        traces::shut_down().await;
        code
    }
}
