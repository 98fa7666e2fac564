//! Scope health as a platform, a probe and an operator see it: over gRPC, and as the command `check`.

#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

#[path = "../cli/process.rs"]
mod process;

mod bench;
mod changes;
mod check;
mod documentation;
mod expiry;
mod grpc_health;
mod hints;
mod missing_scopes;
mod starting;
mod traffic;
mod troubles;
mod validate;
mod watch;
