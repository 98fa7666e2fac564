//! A gRPC connector between access-request platforms and a Buildkite organization.

pub mod buildkite;
pub mod cli;
pub mod proto;
pub mod sandbox;
