//! The settings of health.

use std::time::Duration;

/// How long before its expiry a token counts as degraded, by default: 7 days (see `expiry.rs`).
const DEFAULT_EXPIRY_WARNING: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The settings of health.
#[derive(Debug, Clone)]
pub struct HealthSettings {
    /// The maximum age of evidence (`--health-max-age`).
    pub max_age: Duration,
    /// How long before its expiry a token counts as degraded (`--token-expiry-warning`).
    pub expiry_warning: Duration,
    /// The age below which evidence is never requested again, not even by a fresh check.
    pub min_interval: Duration,
    /// The maximum age of a response to a probe that only other integrations with the same credential require.
    pub others_max_age: Duration,
    /// The timeout of one probe run.
    pub probe_timeout: Duration,
    /// For how long `Validate` retries a failure that may pass.
    pub validate_retry_for: Duration,
}

impl Default for HealthSettings {
    fn default() -> Self {
        Self {
            max_age: Duration::from_secs(60),
            expiry_warning: DEFAULT_EXPIRY_WARNING,
            min_interval: Duration::from_secs(5),
            others_max_age: Duration::from_secs(60 * 60),
            probe_timeout: Duration::from_secs(10),
            // The client of `Validate` never repeats it.
            validate_retry_for: Duration::from_secs(20),
        }
    }
}
