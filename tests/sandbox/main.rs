//! What the Buildkite stand-in promises, over its real socket.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod arguments;
mod endpoints;
mod faults;
mod habits;
mod limits;
mod lists;
mod probe;
mod tokens;
mod writes;
