//! Buildkite's REST API: endpoints, types, ids, the client, and the classification of its responses.

pub mod access;
pub(crate) mod builds;
pub mod client;
pub mod clock_skew;
pub mod endpoint;
pub mod error;
pub mod ids;
pub mod objects;
pub mod origin;
pub mod repository;
pub(crate) mod request;
pub mod response_class;
pub(crate) mod rest_path;
pub mod scope;
pub(crate) mod scope_probe;
pub mod server_cursor;
pub(crate) mod template;
pub mod time;
pub mod types;
