//! `Validate`: whether what is required works, from evidence no older than the call if it does not.
//!
//! The client of `Validate` never repeats it, so a failure must be true at the moment: a failure that may pass is retried for a
//! while, and a check that fails by evidence from before the call is probed once more. Evidence younger than five seconds is
//! never requested again, so the call waits until it is older. One probe serves all waiting calls, because it renews the evidence.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::{Health, Report};
use crate::governance::GovernanceError;

impl Health {
    /// Decides whether what is required works: from evidence within the maximum age if it does, from evidence younger than this
    /// call if it does not. A failure that may pass is retried for a while, or until the deadline of the caller.
    ///
    /// # Errors
    /// The error that a call would end with because of the first check that fails, or else of the first that could not be made.
    /// `Unavailable` if a check failed before this call and can be probed again only after the deadline of the caller.
    pub async fn validate(&self, deadline: Option<Instant>) -> Result<(), GovernanceError> {
        let begun = Instant::now();
        let retry_until = begun + self.settings.validate_retry_for;
        let until = deadline.map_or(retry_until, |deadline| deadline.min(retry_until));
        let (mut age, mut wait_for_probe) = (self.settings.max_age, Some(until));
        let mut last_due = None;
        loop {
            let report = self.check_with(age, self.settings.others_max_age, wait_for_probe).await;
            if report.reads().is_operational() {
                return Ok(());
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Err(GovernanceError::DeadlineExceeded);
            }
            let seen_at = report.first_failing().and_then(|result| result.seen_at);
            let seen_before = seen_at.filter(|seen_at| *seen_at < begun);
            let due = seen_before.map(|seen_at| seen_at + self.settings.min_interval);
            // A probe that did not renew the evidence will not renew it the next time either.
            if let Some(at) = due.filter(|at| last_due.is_none_or(|before| before < *at)) {
                if deadline.is_some_and(|deadline| deadline <= at) {
                    let why = "it failed a moment ago, and may be repeated only after the caller's deadline";
                    return Err(unavailable(&report, why));
                }
                sleep_until(at).await;
                last_due = Some(at);
                (age, wait_for_probe) = (Duration::ZERO, deadline);
                continue;
            }
            let error = report
                .first_failure()
                .cloned()
                .unwrap_or_else(|| unavailable(&report, "buildkite did not answer in time"));
            let again = Instant::now() + self.settings.min_interval;
            if !matches!(error, GovernanceError::Unavailable { .. }) || again >= until {
                return Err(error);
            }
            sleep_until(again).await;
            (age, wait_for_probe) = (self.settings.max_age, Some(until));
        }
    }
}

/// The check that fails could not be made; without one, the first check, which all others depend on.
fn unavailable(report: &Report, why: &str) -> GovernanceError {
    match report.first_failing().or(report.checks.first()) {
        Some(result) => GovernanceError::Unavailable {
            endpoint: result.check.endpoint,
            why: why.to_owned(),
        },
        None => GovernanceError::DeadlineExceeded,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;
    use futures::future::join_all;

    use std::sync::Arc;

    use super::*;
    use crate::governance::health::{ChangeHealth, CheckInfo, CheckResult, HealthSettings, State};
    use crate::governance::provider::MockHealthSource;
    use crate::governance::provisioning::ProtectedNames;

    static LIST: CheckInfo = CheckInfo {
        id: "list",
        scope: None,
        probe: "GET /list",
        endpoint: "teams",
        impact: "nothing is listed",
        degraded_when: "",
        for_writes: false,
        for_others: false,
        required_by: &[],
    };

    /// A provider whose list is forbidden while `failing` is set.
    #[derive(Debug, Default)]
    struct Provider {
        failing: bool,
        /// The number of requests for the list.
        requests: usize,
        /// When the list was requested last, and whether that failed.
        last: Option<(Instant, bool)>,
    }

    impl Provider {
        fn report(&self) -> Report {
            let (state, error) = match self.last {
                None => (State::Unknown, None),
                Some((_, false)) => (State::Healthy, None),
                Some((_, true)) => (
                    State::Unhealthy,
                    Some(GovernanceError::Forbidden {
                        endpoint: LIST.endpoint,
                        message: None,
                    }),
                ),
            };
            let result = CheckResult {
                name: None,
                check: &LIST,
                state,
                summary: String::new(),
                remedy: String::new(),
                hints: Vec::new(),
                checked_at: None,
                latency: None,
                seen_at: self.last.map(|(seen_at, _)| seen_at),
                error,
                concerns_changes_only: false,
            };
            Report::new(vec![result], None, "acme".to_owned())
        }
    }

    #[derive(Debug)]
    struct ReadOnly;

    #[async_trait]
    impl ChangeHealth for ReadOnly {
        fn audit_problem(&self) -> Option<String> {
            None
        }

        fn name_status(&self) -> Option<ProtectedNames> {
            None
        }

        async fn recheck(&self) {}

        async fn look_up_names(self: Arc<Self>) {}
    }

    struct Validator {
        provider: Arc<Mutex<Provider>>,
        health: Health,
    }

    impl Validator {
        fn new() -> Self {
            let provider = Arc::new(Mutex::new(Provider::default()));
            let mut source = MockHealthSource::new();
            let reported = Arc::clone(&provider);
            source
                .expect_report()
                .returning(move |_| reported.lock().unwrap().report());
            let probed = Arc::clone(&provider);
            source.expect_probe().returning(move |max_age, _| {
                let mut provider = probed.lock().unwrap();
                let is_due = |(seen_at, failed): (Instant, bool)| max_age.is_exceeded(!failed, seen_at);
                if provider.last.is_none_or(is_due) {
                    provider.requests += 1;
                    provider.last = Some((Instant::now(), provider.failing));
                }
                Ok(())
            });
            let health = Health::new(Arc::new(source), HealthSettings::default(), Arc::new(ReadOnly), None);
            Self { provider, health }
        }

        /// The failure was seen two seconds ago.
        async fn after_failure() -> Self {
            let validator = Self::new();
            validator.fail(true);
            let refused = validator.validate(None).await.unwrap_err();
            assert_eq!(refused.reason(), "FORBIDDEN");
            tokio::time::sleep(Duration::from_secs(2)).await;
            validator
        }

        fn fail(&self, failing: bool) {
            self.provider.lock().unwrap().failing = failing;
        }

        fn requests(&self) -> usize {
            self.provider.lock().unwrap().requests
        }

        async fn validate(&self, deadline: Option<Instant>) -> Result<(), GovernanceError> {
            self.health.validate(deadline).await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_that_is_remembered_is_probed_again_once_five_seconds_are_over() {
        let validator = Validator::after_failure().await;
        validator.fail(false);
        let begun = Instant::now();
        validator.validate(None).await.unwrap();
        assert_eq!((begun.elapsed(), validator.requests()), (Duration::from_secs(3), 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_that_lasts_is_told_after_one_probe_for_all_who_wait() {
        let validator = Validator::after_failure().await;
        let begun = Instant::now();
        let answers = join_all((0..20).map(|_| validator.validate(None))).await;
        for answer in answers {
            assert_eq!(answer.unwrap_err().reason(), "FORBIDDEN");
        }
        assert_eq!((begun.elapsed(), validator.requests()), (Duration::from_secs(3), 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_whose_deadline_is_before_the_next_probe_is_told_to_come_again() {
        let validator = Validator::after_failure().await;
        let begun = Instant::now();
        let refused = validator
            .validate(Some(begun + Duration::from_secs(3)))
            .await
            .unwrap_err();
        assert_eq!(refused.reason(), "BUILDKITE_UNAVAILABLE");
        assert_eq!((begun.elapsed(), validator.requests()), (Duration::ZERO, 1));
        let refused = validator
            .validate(Some(begun + Duration::from_secs(4)))
            .await
            .unwrap_err();
        assert_eq!((refused.reason(), validator.requests()), ("FORBIDDEN", 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_that_was_seen_after_the_call_came_is_told_at_once() {
        let validator = Validator::after_failure().await;
        tokio::time::sleep(Duration::from_secs(4)).await;
        let begun = Instant::now();
        assert_eq!(validator.validate(None).await.unwrap_err().reason(), "FORBIDDEN");
        assert_eq!((begun.elapsed(), validator.requests()), (Duration::ZERO, 2));
    }
}
