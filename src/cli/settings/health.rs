//! How scope health is kept.

use std::time::Duration;

use super::{SettingError, duration};
use crate::governance::health::HealthSettings;

/// The flags.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct HealthArgs {
    /// How old an answer about health may be
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_HEALTH_MAX_AGE",
        value_name = "TIME",
        default_value = "1m"
    )]
    health_max_age: String,
    /// How often health is checked where nothing else has
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_HEALTH_INTERVAL",
        value_name = "TIME",
        default_value = "5m"
    )]
    health_interval: String,
    /// How long before its end a token's expiry is warned of
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_TOKEN_EXPIRY_WARNING",
        value_name = "TIME",
        default_value = "7d"
    )]
    token_expiry_warning: String,
}

impl Default for HealthArgs {
    fn default() -> Self {
        Self {
            health_max_age: "1m".to_owned(),
            health_interval: "5m".to_owned(),
            token_expiry_warning: "7d".to_owned(),
        }
    }
}

impl HealthArgs {
    pub(super) fn read(&self) -> Result<HealthSettings, SettingError> {
        let warning = "BUILDKITE_CONNECTOR_TOKEN_EXPIRY_WARNING";
        Ok(HealthSettings {
            max_age: duration(
                "--health-max-age",
                "BUILDKITE_CONNECTOR_HEALTH_MAX_AGE",
                &self.health_max_age,
            )?,
            expiry_warning: duration("--token-expiry-warning", warning, &self.token_expiry_warning)?,
            ..HealthSettings::default()
        })
    }

    /// Between two checks that nothing else asked for.
    pub(crate) fn interval(&self) -> Result<Duration, SettingError> {
        duration(
            "--health-interval",
            "BUILDKITE_CONNECTOR_HEALTH_INTERVAL",
            &self.health_interval,
        )
    }
}
