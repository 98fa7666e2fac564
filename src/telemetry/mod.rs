//! What the process reports about itself: metrics, and the redaction of secrets in every text.

pub mod metrics;
pub mod redact;
