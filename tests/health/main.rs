//! Scope health as a platform, a probe and an operator see it: over gRPC, and as the command `check`.

#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod bench;
mod expiry;
mod hints;
mod missing_scopes;
mod traffic;
mod troubles;
