//! The limiter in paused time: which requests wait, for how long, and which are rejected.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::time::{Instant, sleep};

use super::model::Rounding;
use super::server::{Server, header_map};
use crate::governance::rate_limit::Bucket;
use crate::governance::{CallContext, Lane};
use crate::providers::buildkite::budget::{BudgetOptions, LimitHeaders, RateLimiter};

const SECOND: Duration = Duration::from_secs(1);

fn limiter() -> Arc<RateLimiter> {
    Arc::new(RateLimiter::new(BudgetOptions::default()))
}

/// A limiter that has observed the user's window as used up, `seconds_left` before its end.
async fn used_up(seconds_left: u64) -> (Arc<Server>, Arc<RateLimiter>) {
    let server = Arc::new(Server::new(
        SECOND * u32::try_from(60 - seconds_left).unwrap(),
        Rounding::Ceil,
    ));
    let limiter = limiter();
    server.spend(Bucket::User, 49);
    server.send(&limiter, &CallContext::new(Lane::Sync)).await.unwrap();
    (server, limiter)
}

fn waiting(limiter: &RateLimiter) -> usize {
    limiter.state().waiting.iter().map(|(_, waiting)| waiting).sum()
}

#[tokio::test(start_paused = true)]
async fn a_request_that_cannot_wait_is_rejected_at_once_with_the_limit_and_its_reset() {
    let (server, limiter) = used_up(30).await;
    let began = Instant::now();
    let call = CallContext::new(Lane::Interactive).with_deadline(Some(began + SECOND * 5));
    let limit = server.send(&limiter, &call).await.unwrap_err();
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!((limit.bucket, limit.limit), (Some(Bucket::User), Some(50)));
    let resets_in = limit.retry_at.unwrap() - began;
    assert!(resets_in > SECOND * 29 && resets_in < SECOND * 32, "{resets_in:?}");
    assert_eq!(call.stats().waited, Duration::ZERO);
    assert_eq!(waiting(&limiter), 0);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_can_wait_is_sent_when_the_window_has_ended() {
    let (server, limiter) = used_up(30).await;
    let call = CallContext::new(Lane::Sync);
    let began = Instant::now();
    assert_eq!(server.send(&limiter, &call).await, Ok(StatusCode::OK));
    let waited = call.stats().waited;
    assert!(waited > SECOND * 29 && waited < SECOND * 32, "{waited:?}");
    assert_eq!(began.elapsed(), waited + Duration::from_millis(50));
}

#[tokio::test(start_paused = true)]
async fn a_grant_waits_for_a_whole_window_and_a_sync_does_not() {
    let (server, limiter) = used_up(58).await;
    let sync = server.send(&limiter, &CallContext::new(Lane::Sync)).await;
    assert_eq!(sync.unwrap_err().bucket, Some(Bucket::User));
    let grant = CallContext::new(Lane::Provisioning);
    assert_eq!(server.send(&limiter, &grant).await, Ok(StatusCode::OK));
    assert!(grant.stats().waited > SECOND * 57);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_is_rejected_as_soon_as_its_wait_is_known_to_be_in_vain() {
    let (server, limiter) = (Server::new(SECOND * 40, Rounding::Ceil), limiter());
    let call = CallContext::new(Lane::Sync);
    let slow = limiter.acquire(&call).await.unwrap();
    server.spend(Bucket::User, 49);
    server.send(&limiter, &call).await.unwrap();
    let waiter = tokio::spawn({
        let limiter = Arc::clone(&limiter);
        async move { limiter.acquire(&CallContext::new(Lane::Sync)).await.map(drop) }
    });
    sleep(SECOND).await;
    assert_eq!(waiting(&limiter), 1);
    let began = Instant::now();
    let limits = LimitHeaders {
        limit: Some(200),
        remaining: Some(-1),
        reset: Some(55),
    };
    let headers = header_map(Bucket::Organization, limits);
    let limit = slow.complete(StatusCode::TOO_MANY_REQUESTS, &headers, br#"{"scope":"rest"}"#);
    assert_eq!(limit.unwrap().bucket, Some(Bucket::Organization));
    assert_eq!(waiter.await.unwrap().unwrap_err().bucket, Some(Bucket::Organization));
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_is_dropped_leaves_no_trace() {
    let (server, limiter) = used_up(30).await;
    let gone = tokio::time::timeout(SECOND, server.send(&limiter, &CallContext::new(Lane::Provisioning))).await;
    assert!(gone.is_err());
    assert_eq!((waiting(&limiter), limiter.state().in_flight), (0, 0));
    assert_eq!(
        server.send(&limiter, &CallContext::new(Lane::Sync)).await,
        Ok(StatusCode::OK)
    );
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_response_is_charged_and_one_that_was_never_sent_is_not() {
    let limiter = limiter();
    let server = Server::new(Duration::ZERO, Rounding::Floor);
    let call = CallContext::new(Lane::Provisioning);
    server.send(&limiter, &call).await.unwrap();
    let left = || limiter.state().buckets.iter().map(|bucket| bucket.remaining).min();
    assert_eq!(left(), Some(49));
    limiter.acquire(&call).await.unwrap().refund();
    assert_eq!(left(), Some(49));
    drop(limiter.acquire(&call).await.unwrap());
    assert_eq!((left(), limiter.state().in_flight), (Some(48), 0));
}

#[tokio::test(start_paused = true)]
async fn before_the_first_response_only_a_few_requests_are_in_flight() {
    let limiter = limiter();
    let mut permits = Vec::new();
    while let Ok(permit) = tokio::time::timeout(SECOND, limiter.acquire(&CallContext::new(Lane::Sync))).await {
        permits.push(permit.unwrap());
    }
    assert_eq!(permits.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_grant_passes_a_saturated_sync() {
    let server = Arc::new(Server::new(Duration::ZERO, Rounding::Floor));
    let limiter = limiter();
    let syncs: Vec<_> = (0..35)
        .map(|_| {
            let (server, limiter) = (Arc::clone(&server), Arc::clone(&limiter));
            tokio::spawn(async move { server.send(&limiter, &CallContext::new(Lane::Sync)).await })
        })
        .collect();
    for sync in syncs {
        assert_eq!(sync.await.unwrap(), Ok(StatusCode::OK));
    }
    // What is left is the reserve.
    assert_eq!(
        limiter
            .state()
            .buckets
            .iter()
            .map(|bucket| bucket.remaining_for_sync)
            .min(),
        Some(0)
    );
    let rejected = server
        .send(
            &limiter,
            &CallContext::new(Lane::Sync).with_deadline(Some(Instant::now() + SECOND)),
        )
        .await;
    assert_eq!(rejected.unwrap_err().bucket, Some(Bucket::User));
    for _ in 0..15 {
        let grant = CallContext::new(Lane::Provisioning);
        assert_eq!(server.send(&limiter, &grant).await, Ok(StatusCode::OK));
        assert_eq!(grant.stats().waited, Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn without_limits_no_request_waits() {
    let server = Arc::new(Server::without_limits());
    let limiter = limiter();
    let began = Instant::now();
    let requests: Vec<_> = (0..1_000)
        .map(|_| {
            let (server, limiter) = (Arc::clone(&server), Arc::clone(&limiter));
            tokio::spawn(async move { server.send(&limiter, &CallContext::new(Lane::Sync)).await })
        })
        .collect();
    for request in requests {
        assert_eq!(request.await.unwrap(), Ok(StatusCode::OK));
    }
    // Sixteen at once, 50 ms each, after slow start.
    assert!(began.elapsed() < SECOND * 4, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn no_minute_has_more_requests_than_the_operator_allows() {
    let options = BudgetOptions {
        max_requests_per_minute: NonZeroU32::new(20),
        max_wait: SECOND * 600,
        ..BudgetOptions::default()
    };
    let (server, limiter) = (Server::without_limits(), RateLimiter::new(options));
    let call = CallContext::new(Lane::Sync);
    let mut sent = Vec::new();
    for _ in 0..100 {
        let permit = limiter.acquire(&call).await.unwrap();
        sent.push(Instant::now());
        // Settles the request as sent and unanswered.
        drop(permit);
    }
    for (index, from) in sent.iter().enumerate() {
        let within = sent[index..].iter().filter(|at| **at - *from < SECOND * 60).count();
        assert!(within <= 20, "{within} within a minute");
    }
    let took = *sent.last().unwrap() - sent[0];
    assert!(took < SECOND * 315 && call.stats().waited > SECOND * 200, "{took:?}");
    let call = CallContext::new(Lane::Sync).with_deadline(Some(Instant::now() + Duration::from_millis(5)));
    assert_eq!(server.send(&limiter, &call).await.unwrap_err().limit, Some(20));
}
