//! Ordinary traffic is evidence: it changes states without a probe. Probes are few, and shared.

use std::time::Duration;

use buildkite_connector::governance::{AllowedChanges, Change};
use buildkite_connector::proto::c1::connector::v2::Entitlement;
use buildkite_connector::providers::buildkite::IncludedType;
use buildkite_connector::sandbox::{
    BodyStyle, Bucket, Endpoint, Fault, FaultKind, Gate, RateLimitStyle, Sandbox, Team,
};
use futures::future::join_all;
use http::StatusCode;
use tonic::Code;

use super::harness::{HealthHarness, Healthy, Unhealthy, Unknown, admin, setup};
use crate::support::platform::resource;
use crate::support::{Setup, reason};

fn status(code: u16) -> FaultKind {
    FaultKind::Status(StatusCode::from_u16(code).unwrap(), BodyStyle::Message)
}

/// Evidence stays valid for the whole test, so that only ordinary traffic changes the report.
fn never_asking_twice() -> Setup {
    let mut setup = setup();
    setup.access.health.max_age = Duration::from_secs(3600);
    setup.access.health.min_interval = Duration::from_secs(3600);
    setup
}

async fn quiet() -> HealthHarness {
    let harness = HealthHarness::with(|sandbox| sandbox.token().clone(), never_asking_twice()).await;
    assert_eq!(harness.check().await.states(), [Healthy; 6]);
    assert_eq!(harness.requests(), 6, "six requests find out everything");
    harness
}

#[tokio::test]
async fn a_cached_report_is_repeated_without_a_request() {
    let harness = quiet().await;
    for _ in 0..20 {
        assert_eq!(harness.check().await.0.overall(), Healthy);
        assert_eq!(harness.fresh().await.0.overall(), Healthy);
        harness.platform().validate().await.unwrap();
    }
    assert_eq!(harness.requests(), 6);
}

#[tokio::test]
async fn a_listing_that_fails_and_one_that_works_again_are_health_at_once() {
    let harness = quiet().await;
    let fault = harness.sandbox.faults().add(Fault::new(Endpoint::Teams, status(403)));
    harness.platform().resources("team").await.unwrap_err();
    let asked = harness.requests();
    let report = harness.check().await;
    assert_eq!((report.state("team_listing"), harness.requests()), (Unhealthy, asked));
    fault.remove();
    harness.platform().resources("team").await.unwrap();
    let asked = harness.requests();
    let report = harness.check().await;
    assert_eq!((report.states(), harness.requests()), (vec![Healthy; 6], asked));
}

#[tokio::test]
async fn a_token_that_is_revoked_shows_with_the_next_call_and_heals_with_the_next_that_is_accepted() {
    let harness = quiet().await;
    let rejected = harness.sandbox.faults().add(Fault::new(Endpoint::Any, status(401)));
    harness.platform().resources("user").await.unwrap_err();
    let asked = harness.requests();
    let report = harness.check().await;
    report.assert_well_formed();
    assert_eq!(
        (report.state("authentication"), report.state("team_listing")),
        (Unhealthy, Unknown)
    );
    assert!(report.summary("team_listing").contains("the token is rejected"));
    assert_eq!(
        report.0.credentials[0].owner_email, "ingrid@northwind-rail.example",
        "what is known of it stays known"
    );
    // It never fails from cached evidence, and here the next probe comes after any caller's deadline.
    let refused = harness.platform().validate().await.unwrap_err();
    assert_eq!(
        reason(&refused),
        (Code::Unavailable, "BUILDKITE_UNAVAILABLE".to_owned())
    );
    assert_eq!(harness.requests(), asked);
    rejected.remove();
    harness.platform().resources("user").await.unwrap();
    let asked = harness.requests();
    assert_eq!(
        (harness.check().await.states(), harness.requests()),
        (vec![Healthy; 6], asked)
    );
}

#[tokio::test]
async fn an_outage_seen_by_a_sync_is_unknown_and_a_sync_that_waits_is_none() {
    let harness = quiet().await;
    let outage = harness
        .sandbox
        .faults()
        .add(Fault::new(Endpoint::OrganizationMembers, status(503)));
    harness.platform().resources("user").await.unwrap_err();
    assert_eq!(harness.check().await.state("organization_member_listing"), Unknown);
    outage.remove();
    harness.platform().resources("user").await.unwrap();
    let limited = FaultKind::RateLimited(Bucket::User, RateLimitStyle::Documented);
    harness
        .sandbox
        .faults()
        .add(Fault::new(Endpoint::OrganizationMembers, limited));
    harness.platform().resources("user").await.unwrap_err();
    assert_eq!(harness.check().await.states(), [Healthy; 6]);
}

#[tokio::test]
async fn trouble_heals_without_a_restart() {
    let harness = HealthHarness::start().await;
    for kind in [status(401), status(403), status(404), status(503), FaultKind::Html200] {
        let fault = harness.sandbox.faults().add(Fault::new(Endpoint::Any, kind));
        assert_ne!(harness.fresh().await.0.overall(), Healthy);
        harness.platform().validate().await.unwrap_err();
        fault.remove();
        let report = harness.fresh().await;
        assert_eq!(report.states(), [Healthy; 6], "{report:?}");
        harness.platform().validate().await.unwrap();
    }
}

#[tokio::test]
async fn many_concurrent_callers_cost_one_probe() {
    let mut setup = setup();
    setup.access.health.min_interval = Duration::from_secs(3600);
    let harness = HealthHarness::with(|sandbox| sandbox.token().clone(), setup).await;
    harness
        .sandbox
        .faults()
        .add(Fault::new(Endpoint::Any, FaultKind::Delay(Duration::from_millis(20))));
    let all = join_all((0..100).map(|_| harness.fresh())).await;
    assert!(all.iter().all(|report| report.states() == [Healthy; 6]));
    assert_eq!(harness.requests(), 6);
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
        let harness = HealthHarness::with(|sandbox| sandbox.token().clone(), setup.clone()).await;
        if let Some(kind) = kind {
            harness.sandbox.faults().add(Fault::new(Endpoint::Any, kind));
        }
        for _ in 0..200 {
            harness.fresh().await;
        }
        assert!(harness.requests() <= 6, "{} requests", harness.requests());
    }
}

#[tokio::test]
async fn a_caller_that_times_out_gets_the_latest_known_report_and_the_probe_continues() {
    let mut setup = setup();
    setup.client.attempt_timeout = Duration::from_secs(3600);
    setup.access.health.probe_timeout = Duration::from_secs(3600);
    setup.access.health.min_interval = Duration::from_secs(3600);
    let harness = HealthHarness::with(|sandbox| sandbox.token().clone(), setup).await;
    let gate = Gate::default();
    let held = Fault::new(Endpoint::AccessToken, FaultKind::Held(gate.clone()));
    let slow = harness.sandbox.faults().add(held);
    let report = harness.fresh_within(Duration::from_secs(1)).await;
    assert_eq!(report.states(), [Unknown; 6]);
    assert_eq!(report.summary("authentication"), "the check is in progress");
    gate.open();
    let report = harness.fresh().await;
    assert_eq!(report.states(), [Healthy; 6]);
    assert_eq!((slow.fired(), harness.requests()), (1, 6));
}

#[tokio::test]
async fn what_a_change_of_one_teams_access_meets_is_evidence_for_no_list_and_no_membership() {
    let mut setup = never_asking_twice();
    setup.access.allowed = AllowedChanges::from_iter([Change::Membership, Change::Access]);
    setup.include = vec![IncludedType::Pipeline, IncludedType::Suite];
    let token = |sandbox: &Sandbox| sandbox.mint(admin(sandbox).with_all_scopes());
    let harness = HealthHarness::with(token, setup).await;
    let before = harness.check().await;
    assert!(before.states().iter().all(|state| *state == Healthy), "{before:?}");
    let pairs = harness.sandbox.with_organization(|organization| {
        let (pipeline, suite) = (organization.pipelines()[0].id, organization.suites()[0].id);
        let mut teams = organization.teams().iter();
        let is_free = |team: &&Team| team.pipeline_level(pipeline).is_none() && team.suite_level(suite).is_none();
        let team = teams.find(is_free).unwrap().id.to_string();
        [
            ("pipeline", pipeline, "read_only", team.clone()),
            ("suite", suite, "read", team),
        ]
    });
    for endpoint in [Endpoint::AddTeamPipeline, Endpoint::AddTeamSuite] {
        harness.sandbox.faults().add(Fault::new(endpoint, status(403)));
    }
    for (kind, object, level, team) in pairs {
        let entitlement = Entitlement {
            id: format!("{kind}:{object}:{level}"),
            resource: Some(resource(kind, &object.to_string())),
            slug: level.to_owned(),
            ..Default::default()
        };
        // The team holds nothing, which is a 404, and the POST is forbidden.
        let refused = harness
            .platform()
            .grant_exactly(entitlement, "team", &team)
            .await
            .unwrap_err();
        assert_eq!(reason(&refused).1, "FORBIDDEN", "{refused}");
    }
    assert_eq!(harness.check().await.states(), before.states());
}
