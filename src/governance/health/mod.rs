//! Scope health: what works, what does not, and what to do, per scope of the token.
//!
//! [`check`] says what is checked, `evidence` what was seen, [`assess`] and `failure` what follows, `report` how it
//! stands together. A report is made from the evidence of ordinary traffic ([`recorder`]); only what is missing or too old
//! is asked for (`probe`), in at most six requests.

pub mod advisories;
pub mod assess;
pub mod check;
mod evidence;
mod expiry;
mod failure;
mod probe;
pub mod recorder;
mod remedy;
mod report;
mod validate;
mod working;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};

pub use assess::CheckResult;
pub use check::{Check, Row, State};
pub use expiry::{Expiry, moment};
pub(crate) use probe::{Age, Depth};
pub(crate) use recorder::EvidenceRecorder;
pub use remedy::token_page;
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
    pub at_least: Duration,
    /// How long one asking waits for Buildkite.
    pub patience: Duration,
    /// For how long `Validate` rides out trouble that may pass.
    pub ride_out: Duration,
}

impl Default for HealthSettings {
    fn default() -> Self {
        Self {
            max_age: Duration::from_secs(60),
            expiry_warning: Duration::from_secs(7 * 24 * 60 * 60),
            at_least: Duration::from_secs(5),
            patience: Duration::from_secs(10),
            // Its client never repeats it, whatever it answers.
            ride_out: Duration::from_secs(20),
        }
    }
}

impl Governance {
    /// The report from what was seen so far; asks nothing.
    #[must_use]
    pub fn latest_health(&self) -> Report {
        self.report_of(&self.observed.evidence())
    }

    fn report_of(&self, evidence: &Evidence) -> Report {
        let context = self.context();
        let checks: Vec<CheckResult> = Check::ALL
            .into_iter()
            .map(|check| assess::verdict(check, evidence, &context))
            .collect();
        let overall = checks
            .iter()
            .map(|verdict| verdict.state)
            .max()
            .unwrap_or(State::Unknown);
        Report {
            overall,
            checks,
            credential: evidence
                .token()
                .map(|token| CredentialReport::of(token, context.provisioning)),
            organization: context.organization,
        }
    }

    /// The report from evidence that is at most `age` old, or at least five seconds: more often is never asked. Many askers
    /// cost one asking. It is the connector's own and goes on when an asker stops waiting, at `until`; who does is told what
    /// is known by then.
    pub async fn health(self: &Arc<Self>, age: Duration, until: Option<Instant>) -> Report {
        let access = Arc::clone(self);
        let at_least = self.settings.health.at_least;
        let age = Age {
            good: age.max(at_least),
            bad: at_least,
        };
        let asking = tokio::spawn(async move {
            let patience = access.settings.health.patience;
            let until = Instant::now() + patience;
            let looking = async {
                // What failed is in the evidence; the report is made of that. Names are looked up once the lists can be read, and
                // apart from the probes, on which a sync waits.
                if access.look_for_health(age, patience).await.is_ok() {
                    drop(timeout_at(until, access.look_at_protected_names()).await);
                }
            };
            tokio::join!(looking, access.look_at_audit());
        });
        // It fails by a panic, which was reported, or because the process ends; either way what is known is told.
        match until {
            Some(until) => drop(timeout_at(until, asking).await),
            None => drop(asking.await),
        }
        self.latest_health()
    }

    /// Resolves after the next answer of Buildkite's that says something about a check. One listener at a time.
    pub async fn health_news(&self) {
        self.observed.news().await;
    }

    fn context(&self) -> Context {
        Context {
            organization: self.organization().to_owned(),
            provisioning: self.settings.provisioning,
            partial_visibility: self.settings.partial_visibility,
            expiry_warning: self.settings.health.expiry_warning,
            audit_trouble: self.audit_trouble(),
            protected_names: self.protected_names(),
            clock_ahead: self.upstream.clock_ahead(),
            asking: self.probing.try_lock().is_err(),
            now: Timestamp::now(),
        }
    }
}
