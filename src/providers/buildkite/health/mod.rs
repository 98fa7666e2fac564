//! Buildkite as a source of health: which scopes of the token work, which do not, and what to do.
//!
//! `check` has the checks. `recorder` keeps the responses of ordinary traffic as `evidence`; `probe` requests only what is missing
//! or too old, in at most six requests and one for each scope with a probe that the settings require. `assess` and `findings` derive each check's result from the evidence.

mod advisories;
mod assess;
mod check;
mod credential;
pub(crate) mod evidence;
mod findings;
pub(crate) mod probe;
pub(crate) mod recorder;
mod remedy;
mod scope_checks;
mod scope_probes;
mod scope_result;
mod several;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::Notify;

pub use check::{Check, RequiredBy};

use super::Buildkite;
use super::budget::{CredentialUse, Route};
use crate::governance::GovernanceError;
use crate::governance::health::Report;
use crate::governance::provider::{HealthContext, HealthSource, MaxAge};
use assess::Context;

#[async_trait]
impl HealthSource for Buildkite {
    fn report(&self, context: &HealthContext) -> Report {
        let shared = Context {
            organization: self.organization_slug(),
            partial_visibility: self.partial_visibility,
            coverage: &self.coverage,
            credential: self.client.credential().form(),
            usage: CredentialUse::Any,
            name: None,
            clock_ahead: self.client.clock_ahead(),
            probe_in_progress: self.probe_lock.try_lock().is_err(),
            now: Timestamp::now(),
            governance: context,
        };
        let organization = shared.organization.to_owned();
        if !self.client.pool().is_single() {
            return self.report_of_several(&shared, organization);
        }
        let evidence = self.recorder.evidence(0);
        let checks = self.coverage.checks().into_iter();
        let checks = checks.map(|check| assess::assess(check, &evidence, &shared)).collect();
        let credential = evidence.token().map(|token| credential::report(token, &shared));
        Report::new(checks, credential, organization)
    }

    async fn probe(&self, max_age: MaxAge, timeout: Duration) -> Result<(), GovernanceError> {
        self.probe_for_health(max_age, timeout).await.map_err(|error| {
            let reading = self.client.pool().first(Route::Read);
            self.credential_error(error, self.recorder.evidence(reading).token())
        })
    }

    async fn changed(&self) {
        self.recorder.changed().await;
    }

    fn notifier(&self) -> Arc<Notify> {
        self.recorder.notifier()
    }
}
