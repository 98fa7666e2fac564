//! A gRPC connector between access-request platforms and a Buildkite organization.

pub mod access;
pub mod buildkite;
pub mod cli;
pub mod connector;
pub mod health;
pub mod hosts;
pub mod metrics;
pub mod proto;
pub mod sandbox;
pub mod server;
