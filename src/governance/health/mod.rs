//! Health: whether the credential can do what is required of it, check by check, and what to do if it cannot.
//!
//! The provider has the checks, the evidence from its responses, and the probes for what is missing ([`HealthSource`]). This
//! module decides when to probe, adds what governance itself knows (`ChangeHealth`), and derives the state of scopes and
//! features ([`Report`]). `validate` decides whether a connector may be used now.

mod changes;
mod check;
mod configuration;
mod expiry_warning;
mod report;
mod settings;
mod validate;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

pub(crate) use changes::ChangeHealth;
pub use check::{CheckInfo, CheckResult, Feature, State};
pub use configuration::{CONFIGURATION, ConfigurationProblem, ConfigurationStatus};
pub use expiry_warning::{Expiry, format_minute};
pub use report::{CredentialReport, NamedCredential, Report};
pub use settings::HealthSettings;

use crate::governance::provider::{HealthContext, HealthSource, MaxAge};
use crate::telemetry::traces;

/// The health of one provider.
#[derive(Debug)]
pub struct Health {
    source: Arc<dyn HealthSource>,
    settings: HealthSettings,
    changes: Arc<dyn ChangeHealth>,
    /// The state of the configuration file, if the process reads one again when it changes.
    configuration: Option<Arc<ConfigurationStatus>>,
}

impl Health {
    /// Reports the health of `source`, of `changes`, and of the configuration file, if there is one.
    pub(crate) fn new(
        source: Arc<dyn HealthSource>,
        settings: HealthSettings,
        changes: Arc<dyn ChangeHealth>,
        configuration: Option<Arc<ConfigurationStatus>>,
    ) -> Self {
        Self {
            source,
            settings,
            changes,
            configuration,
        }
    }

    /// Returns a report from the evidence so far; sends no request.
    #[must_use]
    pub fn latest(&self) -> Report {
        let changes = &self.changes;
        let report = self.source.report(&HealthContext {
            expiry_warning: self.settings.expiry_warning,
            audit_error: changes.audit_problem(),
            protected_names: changes.name_status(),
        });
        match &self.configuration {
            Some(configuration) => report.with(configuration.result()),
            None => report,
        }
    }

    /// Returns a report from evidence no older than `age` (minimum 5 s). Concurrent callers share one probe run, which
    /// continues if a caller times out at `until`; that caller gets the latest known report.
    ///
    /// What only other integrations require is probed again at most hourly, unless `age` is zero.
    pub async fn check(&self, age: Duration, until: Option<Instant>) -> Report {
        let others = if age.is_zero() {
            age
        } else {
            self.settings.others_max_age.max(age)
        };
        self.check_with(age, others, until).await
    }

    /// Does the same with a maximum age of its own for what only other integrations require.
    async fn check_with(&self, age: Duration, others: Duration, until: Option<Instant>) -> Report {
        let HealthSettings {
            min_interval,
            probe_timeout,
            ..
        } = self.settings;
        let max_age = MaxAge {
            success: age.max(min_interval),
            failure: min_interval,
            others: others.max(min_interval),
        };
        let source = Arc::clone(&self.source);
        let changes_in_run = Arc::clone(&self.changes);
        let probe_in_progress = tokio::spawn(traces::in_current_trace(async move {
            let until = Instant::now() + probe_timeout;
            let probing = async {
                // The report shows a failure. Names are looked up once the lists can be read, and apart from the probes, because
                // a sync waits for those.
                if source.probe(max_age, probe_timeout).await.is_ok() {
                    drop(timeout_at(until, Arc::clone(&changes_in_run).look_up_names()).await);
                }
            };
            tokio::join!(probing, changes_in_run.recheck());
        }));
        // The task fails only if it panics, which was reported, or if the process ends. The latest known report is true in both
        // cases.
        match until {
            Some(until) => drop(timeout_at(until, probe_in_progress).await),
            None => drop(probe_in_progress.await),
        }
        self.latest()
    }

    /// Announces that the report may have changed for a reason outside of the evidence.
    pub fn notify(&self) {
        self.source.notifier().notify_one();
    }

    /// Resolves after the next change of the evidence. Supports one listener at a time.
    pub async fn changed(&self) {
        self.source.changed().await;
    }
}
