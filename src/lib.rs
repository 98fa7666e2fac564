//! A gRPC connector between access-request platforms and a Buildkite organization.

pub mod cli;
pub mod export;
mod files;
pub mod governance;
pub mod grpc;
pub mod hosts;
pub mod monitoring;
pub mod proto;
pub mod providers;
mod reload;
pub mod sandbox;
pub mod telemetry;
mod wire;
