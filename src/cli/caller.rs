//! `caller`: generates a caller's bearer token and its entry for the callers file.

use std::io::{self, Write};

use super::CommandError;
use super::settings::parsed_by;
use crate::grpc::server::{BearerToken, CallerRole};

/// The arguments of `caller`.
#[derive(Debug, clap::Args)]
pub struct CallerArgs {
    /// The caller's name, for the audit record and the logs
    #[arg(value_parser = parsed_by(name))]
    name: String,
    /// What the caller is allowed to do
    #[arg(long, value_enum)]
    role: RoleArg,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum RoleArg {
    /// List and read
    Reader,
    /// List, read, grant and revoke
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

/// Rejects a name that would make the callers file invalid.
fn name(text: &str) -> Result<String, &'static str> {
    if text.trim().is_empty() {
        return Err("a caller needs a name: give the one for the audit record, such as `access-platform`");
    }
    Ok(text.to_owned())
}

/// Prints the entry on standard output, and the bearer, once, on standard error: the first can go straight into the file.
pub(super) fn run(args: &CallerArgs) -> Result<(), CommandError> {
    let made = BearerToken::generate()
        .map_err(|_| CommandError::Failed("the system has no randomness: try again".to_owned()))?;
    print(args, &made).map_err(|error| CommandError::Failed(format!("the entry cannot be printed: {error}")))
}

fn print(args: &CallerArgs, made: &BearerToken) -> io::Result<()> {
    let mut out = io::stdout().lock();
    // The file that this is appended to may lack a newline at its end.
    writeln!(out, "\n[[caller]]")?;
    writeln!(out, "name = {}", toml::Value::String(args.name.clone()))?;
    writeln!(out, "role = \"{}\"", args.role.role().as_str())?;
    writeln!(out, "token_sha256 = \"{}\"", made.token_sha256)?;
    out.flush()?;
    writeln!(io::stderr(), "the bearer, shown this once: {}", made.bearer)
}
