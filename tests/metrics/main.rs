//! What a monitor reads of the binary: metrics, liveness and readiness.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

#[path = "../support/mod.rs"]
mod support;

#[path = "../cli/process.rs"]
#[allow(dead_code, reason = "a monitor looks at less than an operator")]
mod process;

mod calls;
mod documentation;
mod ending;
mod listening;
mod monitored;
mod names;
mod values;
