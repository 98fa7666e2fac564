//! `Validate`: whether what is required works, by evidence that is not older than the call where it fails.
//!
//! Its client never repeats it, so a failure must be true at the moment: trouble that may pass is waited out for a while, and a
//! check that fails by what was seen before the call is probed once more. What was seen less than five seconds ago is never
//! asked for again, so the call waits for these to pass. One probe serves all who wait, as it makes the evidence young again.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::check::Check;
use super::evidence::{Evidence, Observation};
use crate::governance::{Governance, GovernanceError};
use crate::providers::buildkite::Endpoint;

impl Governance {
    /// Whether what is required works: by evidence that is at most a health's age old where it does, by evidence that is
    /// younger than this call where it does not. Trouble that may pass is ridden out for a while, or until the caller's
    /// deadline.
    ///
    /// # Errors
    /// What the first check that fails would end a call with; where none fails but one could not be made, that.
    /// `Unavailable` where a check failed before this call and may be probed again only after the caller's deadline.
    pub async fn validate(self: &Arc<Self>, deadline: Option<Instant>) -> Result<(), GovernanceError> {
        let begun = Instant::now();
        let patience = begun + self.settings.health.validate_retry_for;
        let until = deadline.map_or(patience, |deadline| deadline.min(patience));
        let (mut age, mut wait_for_probe) = (self.settings.health.max_age, Some(until));
        let mut last_due = None;
        loop {
            self.health(age, wait_for_probe).await;
            let evidence = self.recorder.evidence();
            let report = self.report_of(&evidence);
            if report.reads_work() {
                return Ok(());
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Err(GovernanceError::DeadlineExceeded);
            }
            let failing = report.first_failing();
            let seen = failing.and_then(|result| evidence.observed_at(result.check));
            let remembered = seen.filter(|seen| *seen < begun);
            let due = remembered.map(|seen| seen + self.settings.health.min_interval);
            // A probe that did not renew the evidence will not do so the next time either.
            if let Some(at) = due.filter(|at| last_due.is_none_or(|before| before < *at)) {
                if deadline.is_some_and(|deadline| deadline <= at) {
                    return Err(GovernanceError::Unavailable {
                        endpoint: failing.map_or(Endpoint::AccessToken, |result| result.check.probed()),
                        why: "it failed a moment ago, and may be asked again only after the caller's deadline"
                            .to_owned(),
                    });
                }
                sleep_until(at).await;
                last_due = Some(at);
                (age, wait_for_probe) = (Duration::ZERO, deadline);
                continue;
            }
            let error = report
                .first_failure()
                .cloned()
                .unwrap_or_else(|| GovernanceError::Unavailable {
                    endpoint: Endpoint::AccessToken,
                    why: "buildkite did not answer in time".to_owned(),
                });
            let again = Instant::now() + self.settings.health.min_interval;
            if !matches!(error, GovernanceError::Unavailable { .. }) || again >= until {
                return Err(error);
            }
            sleep_until(again).await;
            (age, wait_for_probe) = (self.settings.health.max_age, Some(until));
        }
    }
}

impl Evidence {
    /// When that was seen by which a check fails.
    fn observed_at(&self, check: Check) -> Option<Instant> {
        fn since<T>(seen: Option<&Observation<T>>) -> Option<Instant> {
            seen.map(|seen| seen.since)
        }
        fn failed<T>(seen: Option<&Observation<T>>) -> Option<Instant> {
            since(seen.filter(|seen| seen.outcome.is_err()))
        }
        match check {
            Check::Authentication | Check::TeamMembershipManagement => {
                since(self.rejected.as_ref()).or_else(|| since(self.token.as_ref()))
            }
            Check::UserIdentity => since(self.user.as_ref()),
            Check::OrganizationAccess => since(self.organization.as_ref()),
            Check::OrganizationMemberListing => since(self.people.as_ref()),
            // The list itself, or else what its owner is shown of it.
            Check::TeamListing => failed(self.teams.as_ref())
                .or_else(|| failed(self.user.as_ref()))
                .or_else(|| since(self.owner_role.as_ref())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use futures::future::join_all;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::governance::GovernanceSettings;
    use crate::governance::upstream::MockUpstream;
    use crate::providers::buildkite::pagination::Batch;
    use crate::providers::buildkite::{ApiError, ApiErrorKind};

    /// A Buildkite in order, apart from the team list while `trouble` is set; how often that was asked for.
    #[derive(Default)]
    struct Told {
        trouble: Arc<AtomicBool>,
        asked: Arc<AtomicUsize>,
    }

    fn governance(told: &Told) -> Arc<Governance> {
        let mut upstream = MockUpstream::new();
        let owner = Uuid::from_u128(1);
        upstream.expect_organization_slug().return_const("acme".to_owned());
        upstream.expect_clock_ahead().returning(|| None);
        let scopes = ["read_user", "read_organizations", "read_teams"];
        upstream
            .expect_access_token()
            .returning(move |_| Ok(serde_json::from_value(json!({ "uuid": owner, "scopes": scopes })).unwrap()));
        upstream
            .expect_user()
            .returning(move |_| Ok(serde_json::from_value(json!({ "id": owner })).unwrap()));
        upstream
            .expect_organization()
            .returning(move |_| Ok(serde_json::from_value(json!({ "id": owner, "slug": "acme" })).unwrap()));
        upstream
            .expect_person()
            .returning(move |_, _| Ok(serde_json::from_value(json!({ "id": owner, "role": "admin" })).unwrap()));
        upstream.expect_people().returning(|_, _, _| Ok(Batch::default()));
        let (trouble, asked) = (Arc::clone(&told.trouble), Arc::clone(&told.asked));
        upstream.expect_teams().returning(move |_, _, _| {
            asked.fetch_add(1, Ordering::Relaxed);
            if trouble.load(Ordering::Relaxed) {
                return Err(ApiError {
                    endpoint: Endpoint::Teams,
                    kind: ApiErrorKind::Forbidden,
                    message: None,
                });
            }
            Ok(Batch::default())
        });
        Arc::new(Governance::new(Arc::new(upstream), GovernanceSettings::default()))
    }

    /// The trouble was seen two seconds ago.
    async fn in_trouble() -> (Told, Arc<Governance>) {
        let told = Told::default();
        told.trouble.store(true, Ordering::Relaxed);
        let governance = governance(&told);
        let refused = governance.validate(None).await.unwrap_err();
        assert_eq!(refused.reason(), "FORBIDDEN");
        tokio::time::sleep(Duration::from_secs(2)).await;
        (told, governance)
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_that_is_remembered_is_probed_again_once_five_seconds_are_over() {
        let (told, governance) = in_trouble().await;
        told.trouble.store(false, Ordering::Relaxed);
        let begun = Instant::now();
        governance.validate(None).await.unwrap();
        assert_eq!(
            (begun.elapsed(), told.asked.load(Ordering::Relaxed)),
            (Duration::from_secs(3), 2)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_that_lasts_is_told_after_one_probe_for_all_who_wait() {
        let (told, governance) = in_trouble().await;
        let begun = Instant::now();
        let answers = join_all((0..20).map(|_| governance.validate(None))).await;
        for answer in answers {
            assert_eq!(answer.unwrap_err().reason(), "FORBIDDEN");
        }
        assert_eq!(
            (begun.elapsed(), told.asked.load(Ordering::Relaxed)),
            (Duration::from_secs(3), 2)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_whose_deadline_is_before_the_next_probe_is_told_to_come_again() {
        let (told, governance) = in_trouble().await;
        let begun = Instant::now();
        let refused = governance
            .validate(Some(begun + Duration::from_secs(3)))
            .await
            .unwrap_err();
        assert_eq!(refused.reason(), "BUILDKITE_UNAVAILABLE");
        assert_eq!(
            (begun.elapsed(), told.asked.load(Ordering::Relaxed)),
            (Duration::ZERO, 1)
        );
        let refused = governance
            .validate(Some(begun + Duration::from_secs(4)))
            .await
            .unwrap_err();
        assert_eq!((refused.reason(), told.asked.load(Ordering::Relaxed)), ("FORBIDDEN", 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_that_was_seen_after_the_call_came_is_told_at_once() {
        let (told, governance) = in_trouble().await;
        tokio::time::sleep(Duration::from_secs(4)).await;
        let begun = Instant::now();
        assert_eq!(governance.validate(None).await.unwrap_err().reason(), "FORBIDDEN");
        assert_eq!(
            (begun.elapsed(), told.asked.load(Ordering::Relaxed)),
            (Duration::ZERO, 2)
        );
    }
}
