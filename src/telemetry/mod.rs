//! Metrics and traces of the process, and the redaction of secrets in text.

pub mod metrics;
pub mod redact;
pub mod traces;
