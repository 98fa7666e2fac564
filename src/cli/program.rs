//! One binary, two command lines: which one it has follows from the name that it is started under. The child of a Baton runner has
//! the runner's arguments, so its command line is that of the Baton connectors under every name.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use super::Cli;
use super::baton::{self, Baton};

/// A command line that was read.
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
    /// The exit code, once what is wrong, or the help that was asked for, has been printed.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, ExitCode> {
        let arguments: Vec<OsString> = arguments.into_iter().collect();
        let name = arguments.first().and_then(|program| Path::new(program).file_name());
        if name.is_some_and(|name| name == baton::NAME) || baton::is_child(&arguments) {
            Ok(Self::Baton(Box::new(Baton::read(&arguments)?)))
        } else {
            Ok(Self::Connector(Box::new(Cli::read(arguments)?)))
        }
    }

    /// Does what was asked for; what it failed with is said in one sentence on standard error.
    pub async fn run(self) -> ExitCode {
        match self {
            Self::Connector(cli) => cli.run().await,
            Self::Baton(baton) => baton.run().await,
        }
    }
}
