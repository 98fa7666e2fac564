//! `baton-buildkite`: the binary under that name, run as a person or a job runs a Baton connector.

mod actions;
mod endings;
pub mod linked;
mod people;
mod provisioning;
mod refusals;
mod service;
mod settings;
mod subcommands;
mod syncing;
