//! What a platform sees of the connector, over a real channel with real HTTP behind it.

#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod answers;
mod believing;
mod budget;
mod closure;
mod connections;
mod deadlines;
mod extents;
mod matrix;
mod origin;
mod page_sizes;
mod page_tokens;
mod provisioning;
mod read_ahead;
mod rest;
mod secrets;
mod shared_reads;
mod sync;
mod tolerance;
mod visibility;
mod windows;
