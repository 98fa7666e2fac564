//! Ordinary traffic is evidence: it changes states without a probe. Probes are few, and shared.

use std::time::Duration;

use buildkite_connector::sandbox::{BodyStyle, Bucket, Endpoint, Fault, FaultKind, Gate, RateLimitStyle};
use futures::future::join_all;
use http::StatusCode;
use tonic::Code;

use crate::bench::{Bench, Healthy, Unhealthy, Unknown, setup};
use crate::support::Setup;
use crate::support::told::reason;

fn status(code: u16) -> FaultKind {
    FaultKind::Status(StatusCode::from_u16(code).unwrap(), BodyStyle::Message)
}

/// What was seen is believed for as long as a test takes: whatever changes, changes by ordinary traffic.
fn never_asking_twice() -> Setup {
    let mut setup = setup();
    setup.access.health.max_age = Duration::from_secs(3600);
    setup.access.health.min_interval = Duration::from_secs(3600);
    setup
}

async fn quiet() -> Bench {
    let bench = Bench::with(|sandbox| sandbox.token().clone(), never_asking_twice()).await;
    assert_eq!(bench.check().await.states(), [Healthy; 6]);
    assert_eq!(bench.requests(), 6, "six requests find out everything");
    bench
}

#[tokio::test]
async fn what_was_seen_is_told_again_without_a_request() {
    let bench = quiet().await;
    for _ in 0..20 {
        assert_eq!(bench.check().await.0.overall(), Healthy);
        assert_eq!(bench.fresh().await.0.overall(), Healthy);
        bench.platform().validate().await.unwrap();
    }
    assert_eq!(bench.requests(), 6);
}

#[tokio::test]
async fn a_listing_that_fails_and_one_that_works_again_are_health_at_once() {
    let bench = quiet().await;
    let fault = bench.sandbox.faults().add(Fault::new(Endpoint::Teams, status(403)));
    bench.platform().resources("team").await.unwrap_err();
    let asked = bench.requests();
    let told = bench.check().await;
    assert_eq!((told.state("team_listing"), bench.requests()), (Unhealthy, asked));
    fault.remove();
    bench.platform().resources("team").await.unwrap();
    let asked = bench.requests();
    let told = bench.check().await;
    assert_eq!((told.states(), bench.requests()), (vec![Healthy; 6], asked));
}

#[tokio::test]
async fn a_token_that_is_revoked_shows_with_the_next_call_and_heals_with_the_next_that_is_accepted() {
    let bench = quiet().await;
    let rejected = bench.sandbox.faults().add(Fault::new(Endpoint::Any, status(401)));
    bench.platform().resources("user").await.unwrap_err();
    let asked = bench.requests();
    let told = bench.check().await;
    told.assert_well_told();
    assert_eq!(
        (told.state("authentication"), told.state("team_listing")),
        (Unhealthy, Unknown)
    );
    assert!(told.summary("team_listing").contains("the token is rejected"));
    assert_eq!(
        told.0.credentials[0].owner_email, "ingrid@northwind-rail.example",
        "what is known of it stays known"
    );
    // It never fails by what is remembered, and here that is asked for again after any caller's deadline.
    let refused = bench.platform().validate().await.unwrap_err();
    assert_eq!(
        reason(&refused),
        (Code::Unavailable, "BUILDKITE_UNAVAILABLE".to_owned())
    );
    assert_eq!(bench.requests(), asked);
    rejected.remove();
    bench.platform().resources("user").await.unwrap();
    let asked = bench.requests();
    assert_eq!(
        (bench.check().await.states(), bench.requests()),
        (vec![Healthy; 6], asked)
    );
}

#[tokio::test]
async fn an_outage_seen_by_a_sync_is_unknown_and_a_sync_that_waits_is_none() {
    let bench = quiet().await;
    let outage = bench
        .sandbox
        .faults()
        .add(Fault::new(Endpoint::OrganizationMembers, status(503)));
    bench.platform().resources("user").await.unwrap_err();
    assert_eq!(bench.check().await.state("organization_member_listing"), Unknown);
    outage.remove();
    bench.platform().resources("user").await.unwrap();
    let limited = FaultKind::RateLimited(Bucket::User, RateLimitStyle::Documented);
    bench
        .sandbox
        .faults()
        .add(Fault::new(Endpoint::OrganizationMembers, limited));
    bench.platform().resources("user").await.unwrap_err();
    assert_eq!(bench.check().await.states(), [Healthy; 6]);
}

#[tokio::test]
async fn trouble_heals_without_a_restart() {
    let bench = Bench::start().await;
    for kind in [status(401), status(403), status(404), status(503), FaultKind::Html200] {
        let fault = bench.sandbox.faults().add(Fault::new(Endpoint::Any, kind));
        assert_ne!(bench.fresh().await.0.overall(), Healthy);
        bench.platform().validate().await.unwrap_err();
        fault.remove();
        let told = bench.fresh().await;
        assert_eq!(told.states(), [Healthy; 6], "{told:?}");
        bench.platform().validate().await.unwrap();
    }
}

#[tokio::test]
async fn many_who_ask_at_once_cost_one_asking() {
    let mut setup = setup();
    setup.access.health.min_interval = Duration::from_secs(3600);
    let bench = Bench::with(|sandbox| sandbox.token().clone(), setup).await;
    bench
        .sandbox
        .faults()
        .add(Fault::new(Endpoint::Any, FaultKind::Delay(Duration::from_millis(20))));
    let all = join_all((0..100).map(|_| bench.fresh())).await;
    assert!(all.iter().all(|told| told.states() == [Healthy; 6]));
    assert_eq!(bench.requests(), 6);
}

#[tokio::test]
async fn fresh_in_a_loop_costs_six_requests_in_five_seconds_and_trouble_no_more() {
    let mut setup = setup();
    setup.access.health.min_interval = Setup::default().access.health.min_interval;
    assert_eq!(setup.access.health.min_interval, Duration::from_secs(5));
    for kind in [
        None,
        Some(status(401)),
        Some(status(404)),
        Some(status(503)),
        Some(FaultKind::Html200),
    ] {
        let bench = Bench::with(|sandbox| sandbox.token().clone(), setup.clone()).await;
        if let Some(kind) = kind {
            bench.sandbox.faults().add(Fault::new(Endpoint::Any, kind));
        }
        for _ in 0..200 {
            bench.fresh().await;
        }
        assert!(bench.requests() <= 6, "{} requests", bench.requests());
    }
}

#[tokio::test]
async fn who_stops_waiting_is_told_what_is_known_and_the_asking_goes_on() {
    let mut setup = setup();
    setup.client.attempt_timeout = Duration::from_secs(3600);
    setup.access.health.probe_timeout = Duration::from_secs(3600);
    setup.access.health.min_interval = Duration::from_secs(3600);
    let bench = Bench::with(|sandbox| sandbox.token().clone(), setup).await;
    let gate = Gate::default();
    let held = Fault::new(Endpoint::AccessToken, FaultKind::Held(gate.clone()));
    let slow = bench.sandbox.faults().add(held);
    let told = bench.fresh_within(Duration::from_secs(3)).await;
    assert_eq!(told.states(), [Unknown; 6]);
    assert_eq!(told.summary("authentication"), "being asked, and not answered yet");
    gate.open();
    let told = bench.fresh().await;
    assert_eq!(told.states(), [Healthy; 6]);
    assert_eq!((slow.fired(), bench.requests()), (1, 6));
}
