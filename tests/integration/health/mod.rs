//! Scope health over gRPC, for platforms and probes, and as the command `check`.

mod changes;
mod check;
mod documentation;
mod expiry;
mod grpc_health;
mod harness;
mod hints;
mod missing_scopes;
mod scopes;
mod starting;
mod traffic;
mod troubles;
mod validate;
mod watch;
