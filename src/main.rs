//! The `buildkite-connector` binary.

use std::process::ExitCode;

use buildkite_connector::cli::Cli;
use clap::Parser;

#[tokio::main]
async fn main() -> ExitCode {
    Cli::parse().run().await
}
