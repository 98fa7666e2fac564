//! What the Buildkite stand-in promises, over its real socket.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod arguments;
mod builds;
mod clusters;
mod endpoints;
mod faults;
mod habits;
mod invitations;
mod limits;
mod lists;
mod oauth;
mod object_lists;
mod people;
mod pipelines;
mod probe;
mod scopes;
mod suites;
mod tokens;
mod writes;
