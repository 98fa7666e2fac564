//! Jobs that end: the real binary reads a sandbox, and what it leaves is read back by code that shares nothing with the writer.

#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../cli/process.rs"]
#[allow(dead_code)]
mod process;
#[path = "../support/mod.rs"]
mod support;

mod c1z;
mod changes;
mod diff;
mod disconnect;
mod endings;
mod expansion;
mod files;
mod full_disk;
mod job;
mod limits;
mod listing;
mod options;
mod places;
mod read_back;
mod terminal;
