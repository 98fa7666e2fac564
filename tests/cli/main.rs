//! The binary as an operator meets it: what it refuses, what it prints, what it answers, how it ends.

#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod audit;
mod configuration;
mod documentation;
mod help;
mod logs;
mod process;
mod python;
mod refusals;
mod sandbox;
mod services;
mod serving;
