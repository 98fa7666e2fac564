//! The connector over its real interfaces: gRPC channels with HTTP behind them, and the binary as a process.
//!
//! One folder a topic. All of them share a process, so no test changes what the process has once: environment, limits,
//! signal handlers, the global tracing subscriber, the metrics recorder. A test that needs one of these starts the binary
//! through `support::ConnectorProcess`. A new topic is a folder with a `mod.rs`, and its line here.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot continue has failed"
)]

mod support;

mod actions;
mod architecture;
mod baton;
mod budget;
mod carried;
mod cli;
mod connections;
mod connector;
mod credentials;
mod export;
mod health;
mod hosts;
mod metrics;
mod objects;
mod security;
mod traces;
mod wire;
