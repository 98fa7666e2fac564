//! `_connector-service`: the child of a Baton runner. The runner puts it after its own arguments, so all of those are accepted,
//! and those about Buildkite apply.

use std::ffi::OsString;

use super::error::BatonError;
use super::flags::Flags;
use super::{lifecycle, provision};
use crate::cli::signals;
use crate::governance::Change;
use crate::hosts::child::{Child, ChildError, SUBCOMMAND};

/// The arguments of the runner, if it starts a child with these.
pub(super) fn arguments_of_runner(arguments: &[OsString]) -> Option<&[OsString]> {
    match arguments.split_last() {
        Some((last, arguments)) if last == SUBCOMMAND => Some(arguments),
        _ => None,
    }
}

impl From<ChildError> for BatonError {
    fn from(error: ChildError) -> Self {
        match error {
            ChildError::Server(problem) => Self::unknown(problem),
            other => Self::Refused(other.to_string()),
        }
    }
}

/// Serves the runner until it is gone or a signal comes.
///
/// # Errors
/// No runner started this process, what it passes on cannot be used, or a setting is wrong.
pub(super) async fn run(flags: &Flags) -> Result<(), BatonError> {
    let drain = flags.service.platform.drain();
    let child = Child::open(|name| std::env::var(name).ok()).await?;
    // A runner that makes one change allows it to its child, too.
    let change = match lifecycle::change(&flags.lifecycle) {
        None => flags.provision.is_given().then_some(Change::Membership),
        change => change,
    };
    let job = provision::job(flags, change).await?;
    let ending = signals::ending().map_err(BatonError::unknown)?;
    tracing::info!("serving the runner");
    child.run(job.governance().clone(), drain, ending).await?;
    tracing::info!("ended");
    Ok(())
}
