//! How often health is checked, and how old its results may be.

use std::str::FromStr;
use std::time::Duration;

use super::value::{PositiveDuration, parsed_by};
use crate::governance::health::HealthSettings;

/// The flags.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct HealthArgs {
    /// Maximum age of a health check's result
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_HEALTH_MAX_AGE",
        value_name = "TIME",
        default_value_t = PositiveDuration(HealthSettings::default().max_age),
        value_parser = parsed_by(PositiveDuration::from_str)
    )]
    health_max_age: PositiveDuration,
    /// How often `serve` and `service` check health when no call has
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_HEALTH_INTERVAL",
        value_name = "TIME",
        default_value = "5m",
        value_parser = parsed_by(PositiveDuration::from_str)
    )]
    health_interval: PositiveDuration,
    /// How long before its expiry a token is reported as DEGRADED
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_TOKEN_EXPIRY_WARNING",
        value_name = "TIME",
        default_value_t = PositiveDuration(HealthSettings::default().expiry_warning),
        value_parser = parsed_by(PositiveDuration::from_str)
    )]
    token_expiry_warning: PositiveDuration,
}

impl HealthArgs {
    pub(super) fn settings(&self) -> HealthSettings {
        HealthSettings {
            max_age: self.health_max_age.0,
            expiry_warning: self.token_expiry_warning.0,
            ..HealthSettings::default()
        }
    }

    /// The interval of periodic checks.
    pub(crate) fn interval(&self) -> Duration {
        self.health_interval.0
    }
}
