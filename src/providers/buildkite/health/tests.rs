use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tokio::time::{Instant, advance};
use uuid::Uuid;

use super::*;
use crate::governance::health::{CheckResult, State};
use crate::governance::{CallContext, Lane, PartialVisibility};
use crate::providers::buildkite::pagination::{Batch, Cursor};
use crate::providers::buildkite::upstream::MockUpstream;
use crate::providers::buildkite::{ApiError, ApiErrorKind, Endpoint, Scope};

const TIMEOUT: Duration = Duration::from_secs(10);
const MAX_AGE: MaxAge = MaxAge {
    success: Duration::from_secs(60),
    failure: Duration::from_secs(5),
};

/// An organization whose token belongs to a user of `role`; the list of teams has the outcome `teams`.
fn buildkite(role: &'static str, mut teams: impl FnMut() -> Result<(), ApiErrorKind> + Send + 'static) -> Buildkite {
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
        .returning(move |_, _| Ok(serde_json::from_value(json!({ "id": owner, "role": role })).unwrap()));
    upstream.expect_people().returning(|_, _, _| Ok(Batch::default()));
    upstream.expect_teams().returning(move |_, _, _| match teams() {
        Ok(()) => Ok(Batch::default()),
        Err(kind) => Err(ApiError {
            endpoint: Endpoint::Teams,
            kind,
            message: None,
        }),
    });
    Buildkite::new(Arc::new(upstream), PartialVisibility::Refuse, 1)
}

fn result(buildkite: &Buildkite, check: Check) -> CheckResult {
    let report = buildkite.report(&HealthContext::default());
    let mut results = report.checks.into_iter();
    results.find(|result| result.check == check.info()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_failing_list_is_requested_again_once_its_evidence_is_too_old() {
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&requests);
    let buildkite = buildkite("admin", move || {
        counted.fetch_add(1, Ordering::Relaxed);
        Err(ApiErrorKind::Forbidden)
    });
    let begun = Instant::now();
    for (seconds, expected, seen_after) in [(0, 1, 0), (2, 1, 0), (3, 2, 5)] {
        advance(Duration::from_secs(seconds)).await;
        HealthSource::probe(&buildkite, MAX_AGE, TIMEOUT).await.unwrap();
        let listing = result(&buildkite, Check::TeamListing);
        assert_eq!(listing.state, State::Unhealthy);
        let seen_after = Duration::from_secs(seen_after);
        assert_eq!(
            (requests.load(Ordering::Relaxed), listing.seen_at.unwrap() - begun),
            (expected, seen_after)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_partial_view_is_as_old_as_the_role_of_the_owner_and_not_as_the_list() {
    let buildkite = buildkite("member", || Ok(()));
    let begun = Instant::now();
    HealthSource::probe(&buildkite, MAX_AGE, TIMEOUT).await.unwrap();
    advance(Duration::from_secs(10)).await;
    let call = CallContext::new(Lane::Sync);
    buildkite.upstream.teams(Cursor::Start, 1, &call).await.unwrap();
    let listing = result(&buildkite, Check::TeamListing);
    assert_eq!(
        (listing.state, listing.error.unwrap().reason(), listing.seen_at),
        (State::Unhealthy, "PARTIAL_VISIBILITY", Some(begun))
    );
}

#[test]
fn every_scope_has_a_check_and_every_checks_scope_is_one() {
    let of_checks: Vec<Scope> = Check::ALL.into_iter().filter_map(Check::scope).collect();
    assert!(
        Scope::ALL.iter().all(|scope| of_checks.contains(scope)),
        "{of_checks:?}"
    );
    for check in Check::ALL {
        assert_eq!(check.scope().map(Scope::as_str), check.info().scope);
    }
}
