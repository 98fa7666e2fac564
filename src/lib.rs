//! A gRPC connector between access-request platforms and a Buildkite organization.

pub mod cli;
pub mod sandbox;
