//! Scope health as a platform, a probe and an operator see it: over gRPC, and as the command `check`.

mod changes;
mod check;
mod documentation;
mod expiry;
mod grpc_health;
mod harness;
mod hints;
mod missing_scopes;
mod starting;
mod traffic;
mod troubles;
mod validate;
mod watch;
