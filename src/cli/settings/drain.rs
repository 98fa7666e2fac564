//! How long a shutdown may take.

use std::str::FromStr;
use std::time::Duration;

use super::value::{PositiveDuration, parsed_by};
use crate::grpc::server::ServerOptions;

/// The flag.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct DrainArgs {
    /// Time for calls and tasks in progress to finish at shutdown
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_DRAIN",
        value_name = "TIME",
        default_value_t = PositiveDuration(ServerOptions::default().drain),
        value_parser = parsed_by(PositiveDuration::from_str)
    )]
    drain: PositiveDuration,
}

impl DrainArgs {
    /// How long work in progress may take at shutdown.
    pub(crate) fn drain(&self) -> Duration {
        self.drain.0
    }
}
