//! What every call passes through before it reaches a service: authorization, limits, deadlines, metrics.

pub mod authorization;
pub mod caller_connections;
pub mod callers;
pub mod concurrency_limit;
pub mod connections;
pub mod deadline;
pub mod health_watches;
pub mod limits;
pub mod metrics;
pub mod rate_limit;
pub mod reauthorization;
pub mod rejection;
pub mod request_body_timeout;
pub mod response_stream;
pub mod selection;
pub mod shares;
