//! When evidence is requested again, and how old a result is, with a sandbox and a clock that the test moves.

use std::sync::mpsc;

use tokio::time::{Instant, advance};

use super::*;
use crate::governance::health::{CheckResult, State};
use crate::governance::{AllowedChanges, CallContext, Lane, PartialVisibility};
use crate::providers::buildkite::pagination::Cursor;
use crate::providers::buildkite::tests::{
    BodyStyle, Endpoint, Fault, FaultKind, OrganizationRole, client, client_with_every_scope, sandbox,
};
use crate::providers::buildkite::{Coverage, IncludedType, Scope};

const TIMEOUT: Duration = Duration::from_secs(10);
const MAX_AGE: MaxAge = MaxAge {
    success: Duration::from_secs(60),
    failure: Duration::from_secs(5),
    others: Duration::from_secs(60 * 60),
};

/// Keeps the paused clock from moving by itself while tasks wait for the network: it stays as long as a blocking task runs.
struct StoppedClock {
    _stopped: mpsc::Sender<()>,
}

impl StoppedClock {
    fn new() -> Self {
        let (stopped, dropped) = mpsc::channel();
        tokio::task::spawn_blocking(move || dropped.recv());
        Self { _stopped: stopped }
    }
}

fn result(buildkite: &Buildkite, check: Check) -> CheckResult {
    let report = buildkite.report(&HealthContext::default());
    let mut results = report.checks.into_iter();
    results.find(|result| result.check == check.info()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_failing_list_is_requested_again_once_its_evidence_is_too_old() {
    let _clock = StoppedClock::new();
    let sandbox = sandbox().await;
    let forbidden = FaultKind::Status(http::StatusCode::FORBIDDEN, BodyStyle::Message);
    let forbidden = sandbox.faults().add(Fault::new(Endpoint::Teams, forbidden));
    let buildkite = Buildkite::new(client(&sandbox), Coverage::default(), PartialVisibility::Refuse, 1);
    let begun = Instant::now();
    for (seconds, expected, seen_after) in [(0, 1, 0), (2, 1, 0), (3, 2, 5)] {
        advance(Duration::from_secs(seconds)).await;
        HealthSource::probe(&buildkite, MAX_AGE, TIMEOUT).await.unwrap();
        let listing = result(&buildkite, Check::TeamListing);
        assert_eq!(listing.state, State::Unhealthy);
        let seen_after = Duration::from_secs(seen_after);
        assert_eq!(
            (forbidden.fired(), listing.seen_at.unwrap() - begun),
            (expected, seen_after)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_partial_view_is_as_old_as_the_role_of_the_owner_and_not_as_the_list() {
    let _clock = StoppedClock::new();
    let sandbox = sandbox().await;
    sandbox.edit(|organization| organization.set_role(sandbox.owner(), OrganizationRole::Member));
    let buildkite = Buildkite::new(client(&sandbox), Coverage::default(), PartialVisibility::Refuse, 1);
    let begun = Instant::now();
    HealthSource::probe(&buildkite, MAX_AGE, TIMEOUT).await.unwrap();
    advance(Duration::from_secs(10)).await;
    let call = CallContext::new(Lane::Sync);
    buildkite.client.teams(Cursor::Start, 1, &call).await.unwrap();
    let listing = result(&buildkite, Check::TeamListing);
    assert_eq!(
        (listing.state, listing.error.unwrap().reason(), listing.seen_at),
        (State::Unhealthy, "PARTIAL_VISIBILITY", Some(begun))
    );
}

#[tokio::test(start_paused = true)]
async fn what_only_others_require_is_requested_again_after_an_hour_or_when_fresh() {
    let _clock = StoppedClock::new();
    let sandbox = sandbox().await;
    let others = Coverage::new([IncludedType::Cluster], AllowedChanges::none(), [Scope::ReadAgents]).unwrap();
    let client = client_with_every_scope(&sandbox);
    let buildkite = Buildkite::new(client, others, PartialVisibility::Refuse, 1);
    let fresh = MaxAge {
        success: Duration::ZERO,
        failure: Duration::ZERO,
        others: Duration::ZERO,
    };
    for (seconds, age, agents) in [
        (0, MAX_AGE, 1),
        (60, MAX_AGE, 1),
        (3_539, MAX_AGE, 1),
        (1, MAX_AGE, 2),
        (10, fresh, 3),
    ] {
        advance(Duration::from_secs(seconds)).await;
        HealthSource::probe(&buildkite, age, TIMEOUT).await.unwrap();
        assert_eq!(sandbox.request_log().count(Endpoint::Agents), agents, "{seconds}");
    }
    assert_eq!(sandbox.request_log().count(Endpoint::Clusters), 4);
}

#[test]
fn the_row_of_every_scope_is_its_own() {
    for &scope in Scope::ALL {
        for required_by in [RequiredBy::Connector, RequiredBy::Others] {
            let check = Check::Scope(scope, required_by).info();
            assert_eq!((check.id, check.scope), (scope.as_str(), Some(scope.as_str())));
            assert_eq!(check.for_others, required_by == RequiredBy::Others);
        }
    }
}
