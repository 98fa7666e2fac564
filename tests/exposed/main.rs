//! A connector that others can reach and that is never restarted: who gets in, what changes while it runs, how it ends, and
//! what a flood does to it.

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
mod process;

mod bounds;
mod callers;
mod drain;
mod endings;
mod house;
mod pki;
mod places;
mod raw;
mod refusals;
mod rotation;
mod shares;
mod tls;
mod upstream;
