//! Scope health: what works, what does not, and what to do, per scope of the token.
//!
//! [`check`] says what is checked, `evidence` what was seen, [`assess`] and `findings` what follows, `report` how it
//! stands together. A report is made from the evidence of ordinary traffic ([`recorder`]); only what is missing or too old
//! is asked for (`probe`), in at most six requests.

pub mod advisories;
pub mod assess;
pub mod check;
mod evidence;
mod expiry;
mod findings;
mod probe;
pub mod recorder;
mod remedy;
mod report;
mod validate;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};

pub use assess::CheckResult;
pub use check::{Check, Row, State};
pub use expiry::{Expiry, format_minute};
pub(crate) use probe::{MaxAge, ProbeSet};
pub(crate) use recorder::EvidenceRecorder;
pub use remedy::new_token_url;
pub use report::{CredentialReport, Report};

use super::Governance;
use assess::Context;
use evidence::Evidence;

/// How health is kept.
#[derive(Debug, Clone)]
pub struct HealthSettings {
    /// How old evidence may be (`--health-max-age`).
    pub max_age: Duration,
    /// From how long before its end on a token's expiry is warned of (`--token-expiry-warning`).
    pub expiry_warning: Duration,
    /// Evidence younger than this is never asked for again, `fresh` or not.
    pub min_interval: Duration,
    /// How long one asking waits for Buildkite.
    pub probe_timeout: Duration,
    /// For how long `Validate` rides out trouble that may pass.
    pub validate_retry_for: Duration,
}

impl Default for HealthSettings {
    fn default() -> Self {
        Self {
            max_age: Duration::from_secs(60),
            expiry_warning: Duration::from_secs(7 * 24 * 60 * 60),
            min_interval: Duration::from_secs(5),
            probe_timeout: Duration::from_secs(10),
            // Its client never repeats it, whatever it answers.
            validate_retry_for: Duration::from_secs(20),
        }
    }
}

impl Governance {
    /// The report from what was seen so far; asks nothing.
    #[must_use]
    pub fn latest_health(&self) -> Report {
        self.report_of(&self.recorder.evidence())
    }

    fn report_of(&self, evidence: &Evidence) -> Report {
        let context = self.context();
        let checks: Vec<CheckResult> = Check::ALL
            .into_iter()
            .map(|check| assess::assess(check, evidence, &context))
            .collect();
        let overall = checks.iter().map(|result| result.state).max().unwrap_or(State::Unknown);
        Report {
            overall,
            checks,
            credential: evidence
                .token()
                .map(|token| CredentialReport::of(token, context.provisioning)),
            organization: context.organization,
        }
    }

    /// Returns a report from evidence no older than `age` (minimum 5 s). Concurrent callers share one probe run, which
    /// continues if a caller times out at `until`; that caller gets the latest known report.
    pub async fn health(self: &Arc<Self>, age: Duration, until: Option<Instant>) -> Report {
        let governance = Arc::clone(self);
        let min_interval = self.settings.health.min_interval;
        let age = MaxAge {
            success: age.max(min_interval),
            failure: min_interval,
        };
        let probe_in_progress = tokio::spawn(async move {
            let probe_timeout = governance.settings.health.probe_timeout;
            let until = Instant::now() + probe_timeout;
            let probing = async {
                // What failed is in the evidence; the report is made of that. Names are looked up once the lists can be read, and
                // apart from the probes, on which a sync waits.
                if governance.probe_for_health(age, probe_timeout).await.is_ok() {
                    drop(timeout_at(until, governance.refresh_protected_names()).await);
                }
            };
            tokio::join!(probing, governance.recheck_audit());
        });
        // It fails by a panic, which was reported, or because the process ends; either way what is known is told.
        match until {
            Some(until) => drop(timeout_at(until, probe_in_progress).await),
            None => drop(probe_in_progress.await),
        }
        self.latest_health()
    }

    /// Resolves after the next answer of Buildkite's that says something about a check. One listener at a time.
    pub async fn health_changed(&self) {
        self.recorder.changed().await;
    }

    fn context(&self) -> Context {
        Context {
            organization: self.organization().to_owned(),
            provisioning: self.settings.provisioning,
            partial_visibility: self.settings.partial_visibility,
            expiry_warning: self.settings.health.expiry_warning,
            audit_error: self.audit_error(),
            protected_names: self.protected_names(),
            clock_ahead: self.upstream.clock_ahead(),
            probe_in_progress: self.probe_lock.try_lock().is_err(),
            now: Timestamp::now(),
        }
    }
}
