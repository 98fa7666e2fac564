//! Metrics of the process, and the redaction of secrets in text.

pub mod metrics;
pub mod redact;
