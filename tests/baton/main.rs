//! `baton-buildkite`: the binary under that name, run as a person or a job runs a Baton connector.

#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../export/job.rs"]
#[allow(dead_code)]
mod job;
#[path = "../cli/process.rs"]
#[allow(dead_code)]
mod process;
#[path = "../export/read_back.rs"]
#[allow(dead_code)]
mod read_back;
#[path = "../support/mod.rs"]
mod support;

mod endings;
mod linked;
mod provisioning;
mod refusals;
mod service;
mod settings;
mod subcommands;
mod syncing;
