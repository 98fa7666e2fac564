//! `caller`: makes a bearer for somebody who may call, and the entry for the callers file.

use std::io::{self, Write};

use super::CommandError;
use crate::server::{CallerRole, NewBearer};

/// What `caller` can be told.
#[derive(Debug, clap::Args)]
pub struct CallerArgs {
    /// The caller's name; the audit record and the logs will have it
    name: String,
    /// What the caller may do
    #[arg(long, value_enum)]
    role: RoleArg,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum RoleArg {
    /// List and read
    Reader,
    /// Also grant and revoke
    Provisioner,
}

impl RoleArg {
    fn role(self) -> CallerRole {
        match self {
            Self::Reader => CallerRole::Reader,
            Self::Provisioner => CallerRole::Provisioner,
        }
    }
}

/// Prints the entry on standard output, and the bearer, once, on standard error: the first can go straight into the file.
pub(super) fn run(args: &CallerArgs) -> Result<(), CommandError> {
    let made =
        NewBearer::make().map_err(|_| CommandError::Failed("the system gave no randomness: try again".to_owned()))?;
    print(args, &made).map_err(|error| CommandError::Failed(format!("the entry cannot be printed: {error}")))
}

fn print(args: &CallerArgs, made: &NewBearer) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "[[caller]]")?;
    writeln!(out, "name = {}", toml::Value::String(args.name.clone()))?;
    writeln!(out, "role = \"{}\"", args.role.role().as_str())?;
    writeln!(out, "token_sha256 = \"{}\"", made.token_sha256)?;
    out.flush()?;
    writeln!(io::stderr(), "the bearer, shown this once: {}", made.bearer)
}
