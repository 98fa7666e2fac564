//! Subcommands that print something and send no request to Buildkite.

use std::io::{self, Write};

use clap::Command;
use prost::Name;
use prost_types::Any;

use super::NAME;
use super::error::BatonError;
use super::flags::Flags;
use super::schema as settings_schema;
use crate::cli::manual::Shell;
use crate::export::Canonical;
use crate::governance::actions::schema;
use crate::grpc::services;
use crate::proto::c1::connector::v2::ConnectorCapabilities;
use crate::providers::buildkite::{actions, resources};

/// Prints what the connector can do with these settings, packed in an `Any`.
///
/// # Errors
/// Where a setting is wrong, or standard output cannot be written.
pub(super) fn capabilities(flags: &Flags) -> Result<(), BatonError> {
    let coverage = flags.connection()?.args.coverage()?;
    let actions: Vec<_> = schema::offered(actions::all(), coverage.allowed()).collect();
    let capabilities = services::capabilities(&resources::catalog(&coverage), coverage.allowed(), &actions);
    let packed = Any {
        type_url: format!("type.googleapis.com/{}", ConnectorCapabilities::full_name()),
        value: prost::Message::encode_to_vec(&capabilities),
    };
    let mut text = Vec::new();
    Canonical::new()
        .and_then(|canonical| canonical.write_indented(&packed, &mut text))
        .map_err(BatonError::unknown)?;
    print(text)
}

/// Prints the schema of the settings.
///
/// # Errors
/// Where standard output cannot be written.
pub(super) fn config(command: &Command) -> Result<(), BatonError> {
    let schema = settings_schema::schema(command).map_err(BatonError::unknown)?;
    print(serde_json::to_vec_pretty(&schema).map_err(BatonError::unknown)?)
}

/// Prints a completion script.
///
/// # Errors
/// Where standard output cannot be written.
pub(super) fn completion(command: &mut Command, shell: Shell) -> Result<(), BatonError> {
    print(shell.script(command, NAME))
}

/// Prints a text, and ends its last line.
///
/// # Errors
/// Where standard output cannot be written.
pub(super) fn print(mut text: Vec<u8>) -> Result<(), BatonError> {
    if !text.ends_with(b"\n") {
        text.push(b'\n');
    }
    let mut out = io::stdout().lock();
    match out.write_all(&text).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(BatonError::unknown(format!("nothing can be printed: {error}")))
        }
        _ => Ok(()),
    }
}
