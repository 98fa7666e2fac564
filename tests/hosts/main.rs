//! Hosts: the connector where it is not dialled, over real TLS, against the platform's stand-in.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub)]

#[path = "../support/mod.rs"]
mod support;

mod child;
mod command;
mod office;
mod plugin;
#[path = "../cli/process.rs"]
#[allow(dead_code)]
mod process;
mod service;
mod syncs;
