//! Watchers: the latest at once, then every change other than of times and latencies, until the end.

use std::time::Duration;

use buildkite_connector::proto::connector::health::v1::CheckScopesResponse;
use buildkite_connector::sandbox::{
    BodyStyle, Bucket, Endpoint, Fault, FaultKind, LimitOptions, Options, RateLimitStyle, Sandbox,
};
use futures::future::join_all;
use http::StatusCode;
use rstest::rstest;
use tonic::Streaming;

use super::harness::{HealthHarness, Healthy, ScopeReport, Unhealthy, Unknown, setup};
use crate::support::within;

async fn next(stream: &mut Streaming<CheckScopesResponse>) -> ScopeReport {
    let message = within("a change", stream.message()).await;
    ScopeReport(message.unwrap().expect("the stream goes on"))
}

/// The reports up to the first with this state of a check.
async fn states_until(
    stream: &mut Streaming<CheckScopesResponse>,
    id: &str,
    state: super::harness::ScopeState,
) -> Vec<ScopeReport> {
    let mut all = vec![next(stream).await];
    while all.last().unwrap().state(id) != state {
        all.push(next(stream).await);
    }
    all
}

fn forbidden() -> Fault {
    Fault::new(
        Endpoint::Teams,
        FaultKind::Status(StatusCode::FORBIDDEN, BodyStyle::Message),
    )
}

#[tokio::test]
async fn a_watcher_gets_the_latest_report_at_once_also_before_the_first_probe() {
    let harness = HealthHarness::start().await;
    let report = next(&mut harness.watch().await).await;
    report.assert_well_formed();
    assert_eq!(report.states(), [Unknown; 6]);
    assert_eq!(harness.requests(), 0, "to watch costs nothing");
    let latest = harness.fresh().await;
    assert_eq!(
        next(&mut harness.watch().await).await.0,
        latest.0,
        "times and latencies included"
    );
}

#[tokio::test]
async fn a_new_time_or_latency_is_not_a_change() {
    let harness = HealthHarness::start().await;
    harness.fresh().await;
    let mut watching = harness.watch().await;
    next(&mut watching).await;
    for _ in 0..5 {
        harness.fresh().await;
    }
    harness.sandbox.faults().add(forbidden());
    harness.fresh().await;
    let report = next(&mut watching).await;
    assert_eq!(
        report.state("team_listing"),
        Unhealthy,
        "the first that comes is the change"
    );
}

#[rstest]
#[case(FaultKind::Hang)]
#[case(FaultKind::Status(StatusCode::BAD_GATEWAY, BodyStyle::Html))]
#[tokio::test]
async fn a_lasting_failure_is_reported_once(#[case] kind: FaultKind) {
    let mut setup = setup();
    setup.client.attempt_timeout = Duration::from_millis(100);
    let harness = HealthHarness::with(|sandbox| sandbox.token().clone(), setup).await;
    let fault = harness.sandbox.faults().add(Fault::new(Endpoint::AccessToken, kind));
    harness.fresh().await;
    let mut watching = harness.watch().await;
    let first = next(&mut watching).await;
    assert_eq!(first.state("authentication"), Unknown);
    for _ in 0..3 {
        harness.fresh().await;
    }
    fault.remove();
    let rejected = Fault::new(
        Endpoint::Any,
        FaultKind::Status(StatusCode::UNAUTHORIZED, BodyStyle::Message),
    );
    harness.sandbox.faults().add(rejected);
    harness.platform().resources("user").await.unwrap_err();
    harness.fresh().await;
    let second = next(&mut watching).await;
    assert_ne!(second.summary("authentication"), first.summary("authentication"));
}

#[tokio::test]
async fn an_exhausted_rate_limit_and_its_reset_are_each_reported_once() {
    let limits = LimitOptions {
        window: Duration::from_secs(2),
        ..LimitOptions::unlimited()
    };
    let sandbox = Sandbox::start(Options {
        limits,
        ..Options::default()
    });
    let sandbox = sandbox.await.unwrap();
    let token = sandbox.token().clone();
    let harness = HealthHarness::on(sandbox, &token, setup()).await;
    let limited = FaultKind::RateLimited(Bucket::User, RateLimitStyle::Documented);
    harness
        .sandbox
        .faults()
        .add(Fault::new(Endpoint::AccessToken, limited).once());
    harness.fresh().await;
    let mut watching = harness.watch().await;
    let mut asked = 1;
    while harness.fresh().await.0.overall() != Healthy {
        asked += 1;
    }
    assert!(asked > 2, "{asked}");
    let report = states_until(&mut watching, "team_membership_management", Healthy).await;
    let limited = |report: &&ScopeReport| report.summary("authentication").contains("rate limit");
    assert_eq!(report.iter().filter(limited).count(), 1);
}

#[tokio::test]
async fn each_of_many_watchers_gets_the_last_of_many_changes_and_none_twice() {
    let harness = HealthHarness::start().await;
    harness.fresh().await;
    let watchers: Vec<_> = join_all((0..50).map(|_| harness.watch())).await;
    let watching = join_all(watchers.into_iter().map(|mut stream| async move {
        let mut all = states_until(&mut stream, "team_listing", Healthy).await;
        all.extend(states_until(&mut stream, "team_membership_management", Unhealthy).await);
        all
    }));
    let changing = async {
        for _ in 0..15 {
            let fault = harness.sandbox.faults().add(forbidden());
            harness.platform().resources("team").await.unwrap_err();
            fault.remove();
            harness.platform().resources("team").await.unwrap();
        }
        // The last change, which each has to see however slow it was.
        let record = serde_json::json!({"scopes": ["read_user", "read_organizations", "read_teams"]});
        let lost = Fault::new(Endpoint::AccessToken, FaultKind::WrongShape(record));
        harness.sandbox.faults().add(lost);
        harness.fresh().await;
    };
    let (report, ()) = tokio::join!(watching, changing);
    for all in report {
        assert!(all.len() >= 2, "{}", all.len());
        for pair in all.windows(2) {
            assert_ne!(without_times(&pair[0]), without_times(&pair[1]));
        }
    }
}

fn without_times(report: &ScopeReport) -> CheckScopesResponse {
    let mut report = report.0.clone();
    for check in &mut report.checks {
        check.checked_at = None;
        check.latency = None;
    }
    report
}

#[tokio::test]
async fn streams_end_with_the_server() {
    let harness = HealthHarness::start().await;
    let mut watching = harness.watch().await;
    next(&mut watching).await;
    let ended = tokio::spawn(async move {
        let last = within("the end of the stream", watching.message()).await;
        assert!(!matches!(last, Ok(Some(_))), "{last:?}");
    });
    drop(harness.channel);
    harness.connector.stop().await;
    ended.await.unwrap();
}

#[tokio::test]
async fn a_record_that_cannot_be_written_is_reported_and_recovers_with_the_next_change() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("records/audit.jsonl");
    let mut setup = setup();
    setup.access.audit_file = Some(path.clone());
    let harness = HealthHarness::with(|sandbox| sandbox.token().clone(), setup).await;
    let report = harness.fresh().await;
    report.assert_well_formed();
    let check = report.of("team_membership_management");
    assert_eq!(check.state(), Unhealthy);
    assert!(
        check.summary.contains("audit.jsonl") && check.remedy.contains("--audit-file"),
        "{check:?}"
    );
    harness.platform().validate().await.unwrap();

    let mut watching = harness.watch().await;
    next(&mut watching).await;
    std::fs::create_dir(path.parent().unwrap()).unwrap();
    let (team, user) = harness.sandbox.with_organization(|organization| {
        let team = &organization.teams()[0];
        let mut people = organization.people().iter();
        let outside = people.find(|person| team.role_of(person.id).is_none()).unwrap();
        (team.id.to_string(), outside.id.to_string())
    });
    harness.platform().grant(&team, "member", &user).await.unwrap();
    states_until(&mut watching, "team_membership_management", Healthy).await;
}
