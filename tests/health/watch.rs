//! Watchers: the latest at once, then every change other than of times and latencies, until the end.

use std::time::Duration;

use buildkite_connector::proto::connector::health::v1::CheckScopesResponse;
use buildkite_connector::sandbox::{
    BodyStyle, Bucket, Endpoint, Fault, FaultKind, LimitOptions, Options, RateLimitStyle, Sandbox,
};
use futures::future::join_all;
use http::StatusCode;
use rstest::rstest;
use tokio::time::timeout;
use tonic::Streaming;

use crate::bench::{Bench, Healthy, Told, Unhealthy, Unknown, setup};

/// Longer than any change takes to be told.
const BOUND: Duration = Duration::from_secs(120);

async fn next(stream: &mut Streaming<CheckScopesResponse>) -> Told {
    let message = timeout(BOUND, stream.message()).await.expect("a change is told");
    Told(message.unwrap().expect("the stream goes on"))
}

/// What comes until a state is told of a check.
async fn until(stream: &mut Streaming<CheckScopesResponse>, id: &str, state: crate::bench::ScopeState) -> Vec<Told> {
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
async fn the_latest_comes_at_once_also_where_nothing_was_asked_yet() {
    let bench = Bench::start().await;
    let told = next(&mut bench.watch().await).await;
    told.assert_well_told();
    assert_eq!(told.states(), [Unknown; 6]);
    assert_eq!(bench.requests(), 0, "to watch costs nothing");
    let latest = bench.fresh().await;
    assert_eq!(
        next(&mut bench.watch().await).await.0,
        latest.0,
        "times and latencies included"
    );
}

#[tokio::test]
async fn another_time_or_latency_is_no_change() {
    let bench = Bench::start().await;
    bench.fresh().await;
    let mut watching = bench.watch().await;
    next(&mut watching).await;
    for _ in 0..5 {
        bench.fresh().await;
    }
    bench.sandbox.faults().add(forbidden());
    bench.fresh().await;
    let told = next(&mut watching).await;
    assert_eq!(
        told.state("team_listing"),
        Unhealthy,
        "the first that comes is the change"
    );
}

#[rstest]
#[case(FaultKind::Hang)]
#[case(FaultKind::Status(StatusCode::BAD_GATEWAY, BodyStyle::Html))]
#[tokio::test]
async fn trouble_that_stays_is_told_once(#[case] kind: FaultKind) {
    let mut setup = setup();
    setup.client.attempt_timeout = Duration::from_millis(100);
    let bench = Bench::with(|sandbox| sandbox.token().clone(), setup).await;
    let fault = bench.sandbox.faults().add(Fault::new(Endpoint::AccessToken, kind));
    bench.fresh().await;
    let mut watching = bench.watch().await;
    let first = next(&mut watching).await;
    assert_eq!(first.state("authentication"), Unknown);
    for _ in 0..3 {
        bench.fresh().await;
    }
    fault.remove();
    let rejected = Fault::new(
        Endpoint::Any,
        FaultKind::Status(StatusCode::UNAUTHORIZED, BodyStyle::Message),
    );
    bench.sandbox.faults().add(rejected);
    bench.platform().resources("user").await.unwrap_err();
    bench.fresh().await;
    let second = next(&mut watching).await;
    assert_ne!(second.summary("authentication"), first.summary("authentication"));
}

#[tokio::test]
async fn a_rate_limit_that_is_used_up_is_told_once_and_its_reset_too() {
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
    let bench = Bench::on(sandbox, &token, setup()).await;
    let limited = FaultKind::RateLimited(Bucket::User, RateLimitStyle::Documented);
    bench
        .sandbox
        .faults()
        .add(Fault::new(Endpoint::AccessToken, limited).once());
    bench.fresh().await;
    let mut watching = bench.watch().await;
    let mut asked = 1;
    while bench.fresh().await.0.overall() != Healthy {
        asked += 1;
    }
    assert!(asked > 2, "{asked}");
    let told = until(&mut watching, "team_membership_management", Healthy).await;
    let limited = |told: &&Told| told.summary("authentication").contains("rate limit");
    assert_eq!(told.iter().filter(limited).count(), 1);
}

#[tokio::test]
async fn every_one_of_many_watchers_is_told_the_last_of_many_changes_and_nothing_twice() {
    let bench = Bench::start().await;
    bench.fresh().await;
    let watchers: Vec<_> = join_all((0..50).map(|_| bench.watch())).await;
    let watching = join_all(watchers.into_iter().map(|mut stream| async move {
        let mut all = until(&mut stream, "team_listing", Healthy).await;
        all.extend(until(&mut stream, "team_membership_management", Unhealthy).await);
        all
    }));
    let changing = async {
        for _ in 0..15 {
            let fault = bench.sandbox.faults().add(forbidden());
            bench.platform().resources("team").await.unwrap_err();
            fault.remove();
            bench.platform().resources("team").await.unwrap();
        }
        // The last change, which each has to see however slow it was.
        let record = serde_json::json!({"scopes": ["read_user", "read_organizations", "read_teams"]});
        let lost = Fault::new(Endpoint::AccessToken, FaultKind::WrongShape(record));
        bench.sandbox.faults().add(lost);
        bench.fresh().await;
    };
    let (told, ()) = tokio::join!(watching, changing);
    for all in told {
        assert!(all.len() >= 2, "{}", all.len());
        for pair in all.windows(2) {
            assert_ne!(without_times(&pair[0]), without_times(&pair[1]));
        }
    }
}

fn without_times(told: &Told) -> CheckScopesResponse {
    let mut told = told.0.clone();
    for check in &mut told.checks {
        check.checked_at = None;
        check.latency = None;
    }
    told
}

#[tokio::test]
async fn streams_end_with_the_server() {
    let bench = Bench::start().await;
    let mut watching = bench.watch().await;
    next(&mut watching).await;
    let ended = tokio::spawn(async move {
        let last = timeout(BOUND, watching.message()).await.expect("the stream ends");
        assert!(!matches!(last, Ok(Some(_))), "{last:?}");
    });
    drop(bench.channel);
    timeout(BOUND, bench.connector.stop())
        .await
        .expect("open streams do not keep the server");
    ended.await.unwrap();
}

#[tokio::test]
async fn a_record_that_cannot_be_written_is_told_and_heals_with_the_next_change() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("records/audit.jsonl");
    let mut setup = setup();
    setup.access.audit_file = Some(path.clone());
    let bench = Bench::with(|sandbox| sandbox.token().clone(), setup).await;
    let told = bench.fresh().await;
    told.assert_well_told();
    let check = told.of("team_membership_management");
    assert_eq!(check.state(), Unhealthy);
    assert!(
        check.summary.contains("audit.jsonl") && check.remedy.contains("--audit-file"),
        "{check:?}"
    );
    bench.platform().validate().await.unwrap();

    let mut watching = bench.watch().await;
    next(&mut watching).await;
    std::fs::create_dir(path.parent().unwrap()).unwrap();
    let (team, user) = bench.sandbox.with_organization(|organization| {
        let team = &organization.teams()[0];
        let mut people = organization.people().iter();
        let outside = people.find(|person| team.role_of(person.id).is_none()).unwrap();
        (team.id.to_string(), outside.id.to_string())
    });
    bench.platform().grant(&team, "member", &user).await.unwrap();
    until(&mut watching, "team_membership_management", Healthy).await;
}
