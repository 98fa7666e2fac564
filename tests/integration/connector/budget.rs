//! The budget over a real channel: a sync that uses the windows to the full, approvals that pass it, and not one refusal.

use std::cell::Cell;
use std::time::{Duration, Instant, SystemTime};

use buildkite_connector::proto::c1::connector::v2::{RateLimitDescription, RateLimitWaitReport};
use buildkite_connector::sandbox::{
    Bucket, Endpoint, Fault, FaultKind, LimitOptions, Options, RateLimitStyle, Sandbox,
};
use futures::StreamExt;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use prost::Name;
use rstest::rstest;
use tonic::Code;

use crate::support::platform::{id_of, resource};
use crate::support::{Setup, TestServer, details, sized, within};

/// Windows short enough for a test, and long enough for resets in whole seconds.
const WINDOW: Duration = Duration::from_secs(5);

async fn limited(teams: usize, user: u32) -> Sandbox {
    let limits = LimitOptions {
        organization: Some(200),
        user: Some(user),
        window: WINDOW,
        ..LimitOptions::default()
    };
    Sandbox::start(Options {
        seed: sized(teams, 3, 20),
        limits,
        ..Options::default()
    })
    .await
    .unwrap()
}

async fn on(sandbox: &Sandbox) -> TestServer {
    TestServer::with(sandbox, sandbox.token(), Setup::default()).await
}

#[tokio::test]
async fn a_sync_waits_for_windows_and_approvals_during_it_do_not() {
    let sandbox = limited(60, 30).await;
    let connector = on(&sandbox).await;
    let platform = connector.platform().await;
    let (team, outsider) = sandbox.with_organization(|organization| {
        let team = organization.teams().first().unwrap();
        let free = organization
            .people()
            .iter()
            .find(|person| team.role_of(person.id).is_none())
            .unwrap();
        (team.id.to_string(), free.id.to_string())
    });

    let teams = platform.resources("team").await.unwrap();
    let begun = Instant::now();
    let mut reading: FuturesUnordered<_> = teams.iter().map(|team| platform.grants_page(team, "")).collect();
    let mut answers = Vec::new();
    // Once the sync has spent what is its own, an approval still passes.
    while answers.len() < 15 {
        answers.push(reading.next().await.unwrap().unwrap());
    }
    let read = Cell::new(answers.len());
    let grant = async {
        platform.grant(&team, "member", &outsider).await.unwrap();
        read.get()
    };
    let rest = async {
        while let Some(answer) = reading.next().await {
            answers.push(answer.unwrap());
            read.set(answers.len());
        }
    };
    let (read_by_then, ()) = tokio::join!(grant, rest);

    assert_eq!(answers.len(), teams.len());
    assert!(read_by_then < teams.len(), "the grant waited for the sync");
    assert!(begun.elapsed() > WINDOW, "60 requests do not fit into a window of 30");
    assert_eq!(
        (sandbox.refused(Bucket::User), sandbox.refused(Bucket::Organization)),
        (0, 0)
    );

    let details = |name: String| move |any: &&prost_types::Any| any.type_url.ends_with(&name);
    let slept: i64 = answers
        .iter()
        .filter_map(|answer| {
            answer
                .annotations
                .iter()
                .find(details(RateLimitWaitReport::full_name()))
        })
        .map(|any| any.to_msg::<RateLimitWaitReport>().unwrap().wait_ms)
        .max()
        .unwrap();
    assert!(slept > 0, "{slept} ms");
    let described = answers.iter().all(|answer| {
        answer
            .annotations
            .iter()
            .any(|any| details(RateLimitDescription::full_name())(&any))
    });
    assert!(described, "every answer tells how the windows stand");
}

#[tokio::test]
async fn a_client_that_waits_for_the_reported_resets_is_rejected_rarely() {
    let sandbox = limited(50, 20).await;
    let mut setup = Setup::default();
    setup.client.budget.max_wait = Duration::from_millis(300);
    let connector = TestServer::with(&sandbox, sandbox.token(), setup).await;
    let platform = connector.platform().await;
    let teams = platform.resources("team").await.unwrap();
    let (begun, mut sent_away) = (Instant::now(), 0);
    for team in &teams {
        while let Err(status) = platform.grants(team).await {
            let limit = details(&status).rate_limit.unwrap();
            let reset_at = SystemTime::try_from(limit.reset_at.unwrap()).unwrap();
            sent_away += 1;
            // As the real client does: until the reset, and then the same call again.
            tokio::time::sleep(reset_at.duration_since(SystemTime::now()).unwrap_or_default()).await;
        }
    }
    let windows = begun.elapsed().as_secs() / WINDOW.as_secs() + 1;
    assert!(
        sent_away <= 3 * windows,
        "sent away {sent_away} times in {windows} windows"
    );
    assert_eq!(
        (sandbox.refused(Bucket::User), sandbox.refused(Bucket::Organization)),
        (0, 0)
    );
}

#[rstest]
#[tokio::test]
async fn a_refusal_of_either_bucket_is_waited_out(#[values(Bucket::Organization, Bucket::User)] bucket: Bucket) {
    let sandbox = limited(3, 50).await;
    let connector = on(&sandbox).await;
    let platform = connector.platform().await;
    let teams = platform.resources("team").await.unwrap();
    let refusal = FaultKind::RateLimited(bucket, RateLimitStyle::Documented);
    let fault = sandbox.faults().add(Fault::new(Endpoint::TeamMembers, refusal).once());
    for team in &teams {
        assert_eq!(platform.grants(team).await.unwrap().len(), 3, "{}", id_of(team));
    }
    assert_eq!(fault.fired(), 1);
}

#[tokio::test]
async fn a_limit_beyond_the_maximum_wait_is_reported_with_its_reset_and_ends_with_it() {
    let sandbox = limited(3, 50).await;
    let mut setup = Setup::default();
    setup.client.budget.max_wait = Duration::from_millis(300);
    let connector = TestServer::with(&sandbox, sandbox.token(), setup).await;
    let platform = connector.platform().await;
    let teams = platform.resources("team").await.unwrap();
    sandbox.consume(Bucket::User, 500);
    let (code, reason) = loop {
        // What was known of the window may still let one request through, which then finds it closed.
        if let Err(status) = platform.grants(&teams[0]).await {
            let details = details(&status);
            assert!(
                details
                    .rate_limit
                    .as_ref()
                    .is_some_and(|limit| limit.remaining == 0 && limit.reset_at.is_some())
            );
            assert!(details.retry.is_some());
            let resets_at = details.rate_limit.and_then(|limit| limit.reset_at).unwrap();
            let (_, when) = status.message().split_once("which comes at ").unwrap();
            let said: Timestamp = when.split_once(", in ").unwrap().0.parse().unwrap();
            // In whole seconds, and never too early.
            let later = said.as_second() - resets_at.seconds;
            assert!((0..=1).contains(&later), "{when}: {resets_at:?}");
            break (status.code(), details.reason);
        }
    };
    assert_eq!((code, reason.as_str()), (Code::Unavailable, "RATE_LIMITED"));
    let over = async {
        while platform.grants(&teams[0]).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    within("the end of the limit", over).await;
}

#[tokio::test]
async fn listings_outside_a_sync_leave_the_reserve_to_a_grant() {
    let limits = LimitOptions {
        organization: Some(200),
        user: Some(50),
        organization_offset: Some(Duration::ZERO),
        user_offset: Some(Duration::ZERO),
        ..LimitOptions::default()
    };
    let sandbox = Sandbox::start(Options {
        seed: sized(100, 1, 5),
        limits,
        ..Options::default()
    })
    .await
    .unwrap();
    // A request that does not fit into this window is refused and does not wait for the next.
    let mut setup = Setup::default();
    setup.client.budget.max_wait = Duration::from_millis(500);
    setup.client.budget.provisioning_max_wait = Duration::from_millis(500);
    let connector = TestServer::with(&sandbox, sandbox.token(), setup).await;
    let platform = connector.platform().await;
    let (teams, outsider) = sandbox.with_organization(|organization| {
        let teams: Vec<_> = organization.teams().iter().map(|team| team.id.to_string()).collect();
        let free = |person: &&buildkite_connector::sandbox::Person| {
            organization.teams().first().unwrap().role_of(person.id).is_none()
        };
        (teams, organization.people().iter().find(free).unwrap().id.to_string())
    });
    let listed: Vec<_> = teams.iter().map(|team| resource("team", team)).collect();
    let answers = join_all(listed.iter().map(|team| platform.grants_in("", team))).await;
    let refused = answers.iter().filter_map(|answer| answer.as_ref().err());
    let refused: Vec<_> = refused.map(|status| details(status).reason).collect();
    assert!(
        refused.len() >= 50 && refused.iter().all(|reason| reason == "RATE_LIMITED"),
        "{refused:?}"
    );
    platform.grant(&teams[0], "member", &outsider).await.unwrap();
    assert_eq!(
        (sandbox.refused(Bucket::User), sandbox.refused(Bucket::Organization)),
        (0, 0)
    );
}
