//! The door itself, in paused time: who waits, for how long, and what becomes of those who do not.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::time::{Instant, sleep};

use super::model::Rounding;
use super::server::{Server, written};
use crate::providers::buildkite::budget::{Bucket, BudgetOptions, Door, Reading};
use crate::providers::buildkite::call::{CallContext, Lane};

const SECOND: Duration = Duration::from_secs(1);

fn door() -> Arc<Door> {
    Arc::new(Door::new(BudgetOptions::default()))
}

/// A door that has seen the user's window used up, so many seconds before its end.
async fn used_up(before_its_end: u64) -> (Arc<Server>, Arc<Door>) {
    let server = Arc::new(Server::new(
        SECOND * u32::try_from(60 - before_its_end).unwrap(),
        Rounding::Ceil,
    ));
    let door = door();
    server.spend(Bucket::User, 49);
    server.ask(&door, &CallContext::new(Lane::Sync)).await.unwrap();
    (server, door)
}

fn waiting(door: &Door) -> usize {
    door.state().waiting.iter().map(|(_, waiting)| waiting).sum()
}

#[tokio::test(start_paused = true)]
async fn who_cannot_wait_is_told_at_once_what_is_closed_and_until_when() {
    let (server, door) = used_up(30).await;
    let began = Instant::now();
    let call = CallContext::new(Lane::Interactive).with_deadline(Some(began + SECOND * 5));
    let closed = server.ask(&door, &call).await.unwrap_err();
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!((closed.bucket, closed.limit), (Some(Bucket::User), Some(50)));
    let opens_in = closed.retry_at.unwrap() - began;
    assert!(opens_in > SECOND * 29 && opens_in < SECOND * 32, "{opens_in:?}");
    assert_eq!(call.stats().waited, Duration::ZERO);
    assert_eq!(waiting(&door), 0);
}

#[tokio::test(start_paused = true)]
async fn who_can_wait_passes_when_the_window_is_over() {
    let (server, door) = used_up(30).await;
    let call = CallContext::new(Lane::Sync);
    let began = Instant::now();
    assert_eq!(server.ask(&door, &call).await, Ok(StatusCode::OK));
    let waited = call.stats().waited;
    assert!(waited > SECOND * 29 && waited < SECOND * 32, "{waited:?}");
    assert_eq!(began.elapsed(), waited + Duration::from_millis(50));
}

#[tokio::test(start_paused = true)]
async fn a_grant_waits_for_a_whole_window_where_a_sync_does_not() {
    let (server, door) = used_up(58).await;
    let sync = server.ask(&door, &CallContext::new(Lane::Sync)).await;
    assert_eq!(sync.unwrap_err().bucket, Some(Bucket::User));
    let grant = CallContext::new(Lane::Provisioning);
    assert_eq!(server.ask(&door, &grant).await, Ok(StatusCode::OK));
    assert!(grant.stats().waited > SECOND * 57);
}

#[tokio::test(start_paused = true)]
async fn who_waits_in_vain_is_told_as_soon_as_that_is_known() {
    let (server, door) = (Server::new(SECOND * 40, Rounding::Ceil), door());
    let call = CallContext::new(Lane::Sync);
    let slow = door.enter(&call).await.unwrap();
    server.spend(Bucket::User, 49);
    server.ask(&door, &call).await.unwrap();
    let waiter = tokio::spawn({
        let door = Arc::clone(&door);
        async move { door.enter(&CallContext::new(Lane::Sync)).await.map(drop) }
    });
    sleep(SECOND).await;
    assert_eq!(waiting(&door), 1);
    let began = Instant::now();
    let reading = Reading {
        limit: Some(200),
        remaining: Some(-1),
        reset: Some(55),
    };
    let headers = written(Bucket::Organization, reading);
    let closed = slow.answered(StatusCode::TOO_MANY_REQUESTS, &headers, br#"{"scope":"rest"}"#);
    assert_eq!(closed.unwrap().bucket, Some(Bucket::Organization));
    assert_eq!(waiter.await.unwrap().unwrap_err().bucket, Some(Bucket::Organization));
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_goes_away_leaves_no_trace() {
    let (server, door) = used_up(30).await;
    let gone = tokio::time::timeout(SECOND, server.ask(&door, &CallContext::new(Lane::Provisioning))).await;
    assert!(gone.is_err());
    assert_eq!((waiting(&door), door.state().in_flight), (0, 0));
    assert_eq!(
        server.ask(&door, &CallContext::new(Lane::Sync)).await,
        Ok(StatusCode::OK)
    );
}

#[tokio::test(start_paused = true)]
async fn a_request_without_an_answer_counts_and_one_that_never_left_does_not() {
    let door = door();
    let server = Server::new(Duration::ZERO, Rounding::Floor);
    let call = CallContext::new(Lane::Provisioning);
    server.ask(&door, &call).await.unwrap();
    let left = || door.state().buckets.iter().map(|bucket| bucket.remaining).min();
    assert_eq!(left(), Some(49));
    door.enter(&call).await.unwrap().never_sent();
    assert_eq!(left(), Some(49));
    drop(door.enter(&call).await.unwrap());
    assert_eq!((left(), door.state().in_flight), (Some(48), 0));
}

#[tokio::test(start_paused = true)]
async fn before_the_first_answer_only_a_few_are_in_flight() {
    let door = door();
    let mut admitted = Vec::new();
    while let Ok(admission) = tokio::time::timeout(SECOND, door.enter(&CallContext::new(Lane::Sync))).await {
        admitted.push(admission.unwrap());
    }
    assert_eq!(admitted.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_grant_passes_a_saturated_sync() {
    let server = Arc::new(Server::new(Duration::ZERO, Rounding::Floor));
    let door = door();
    let syncs: Vec<_> = (0..35)
        .map(|_| {
            let (server, door) = (Arc::clone(&server), Arc::clone(&door));
            tokio::spawn(async move { server.ask(&door, &CallContext::new(Lane::Sync)).await })
        })
        .collect();
    for sync in syncs {
        assert_eq!(sync.await.unwrap(), Ok(StatusCode::OK));
    }
    // What is left is the reserve.
    assert_eq!(
        door.state()
            .buckets
            .iter()
            .map(|bucket| bucket.remaining_for_sync)
            .min(),
        Some(0)
    );
    let refused = server
        .ask(
            &door,
            &CallContext::new(Lane::Sync).with_deadline(Some(Instant::now() + SECOND)),
        )
        .await;
    assert_eq!(refused.unwrap_err().bucket, Some(Bucket::User));
    for _ in 0..15 {
        let grant = CallContext::new(Lane::Provisioning);
        assert_eq!(server.ask(&door, &grant).await, Ok(StatusCode::OK));
        assert_eq!(grant.stats().waited, Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn without_limits_nobody_waits() {
    let server = Arc::new(Server::without_limits());
    let door = door();
    let began = Instant::now();
    let asked: Vec<_> = (0..1_000)
        .map(|_| {
            let (server, door) = (Arc::clone(&server), Arc::clone(&door));
            tokio::spawn(async move { server.ask(&door, &CallContext::new(Lane::Sync)).await })
        })
        .collect();
    for one in asked {
        assert_eq!(one.await.unwrap(), Ok(StatusCode::OK));
    }
    // Sixteen at once, 50 ms each, after a moment of carefulness.
    assert!(began.elapsed() < SECOND * 4, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn no_minute_has_more_than_the_operator_allows() {
    let options = BudgetOptions {
        max_requests_per_minute: NonZeroU32::new(20),
        max_wait: SECOND * 600,
        ..BudgetOptions::default()
    };
    let (server, door) = (Server::without_limits(), Door::new(options));
    let call = CallContext::new(Lane::Sync);
    let mut sent = Vec::new();
    for _ in 0..100 {
        let admission = door.enter(&call).await.unwrap();
        sent.push(Instant::now());
        // Sent, as far as anybody knows.
        drop(admission);
    }
    for (index, from) in sent.iter().enumerate() {
        let within = sent[index..].iter().filter(|at| **at - *from < SECOND * 60).count();
        assert!(within <= 20, "{within} within a minute");
    }
    let took = *sent.last().unwrap() - sent[0];
    assert!(took < SECOND * 315 && call.stats().waited > SECOND * 200, "{took:?}");
    let closed = CallContext::new(Lane::Sync).with_deadline(Some(Instant::now() + Duration::from_millis(5)));
    assert_eq!(server.ask(&door, &closed).await.unwrap_err().limit, Some(20));
}
