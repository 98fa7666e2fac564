//! Several credentials and several connections: whose limit a request counts against, and who is next.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use rstest::rstest;
use tokio::time::{Instant, sleep};

use super::server::header_map;
use crate::governance::rate_limit::Bucket;
use crate::governance::{CallContext, Lane};
use crate::providers::buildkite::budget::CredentialUse::{Any, Provisioning, Sync};
use crate::providers::buildkite::budget::{BudgetOptions, Budgets, CredentialUse, LimitHeaders, RateLimiter, Route};

const SECOND: Duration = Duration::from_secs(1);

fn limiter(budgets: &Budgets, organization: &str, uses: &[CredentialUse]) -> RateLimiter {
    budgets.limiter(Some(organization), uses, BudgetOptions::default())
}

/// The headers of a response after which `remaining` requests are left, for 30 seconds.
fn headers(bucket: Bucket, limit: i64, remaining: i64) -> HeaderMap {
    headers_until(bucket, [limit, remaining, 30])
}

/// The headers of a response after which `remaining` requests are left, for `reset` seconds.
fn headers_until(bucket: Bucket, [limit, remaining, reset]: [i64; 3]) -> HeaderMap {
    let limits = LimitHeaders {
        limit: Some(limit),
        remaining: Some(remaining),
        reset: Some(reset),
    };
    header_map(bucket, limits)
}

fn identity(name: &str) -> Vec<Arc<str>> {
    vec![name.into()]
}

/// The credential of the next request, which is answered at once.
async fn served_by(limiter: &RateLimiter, lane: Lane, route: Route) -> usize {
    let permit = limiter.acquire_for(&CallContext::new(lane), route).await.unwrap();
    let credential = permit.credential();
    permit.refund();
    credential
}

#[tokio::test(start_paused = true)]
async fn connections_to_one_organization_take_turns() {
    let budgets = Budgets::default();
    let connections = [limiter(&budgets, "acme", &[Any]), limiter(&budgets, "acme", &[Any])];
    let permit = connections[0].acquire(&CallContext::new(Lane::Sync)).await.unwrap();
    let _ = permit.complete(StatusCode::OK, &headers(Bucket::Organization, 200, 0), b"");
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut requests = tokio::task::JoinSet::new();
    // All of the first connection wait before any of the second.
    for (number, connection) in connections.iter().enumerate() {
        for _ in 0..4 {
            let (connection, order) = (connection.clone(), Arc::clone(&order));
            requests.spawn(async move {
                let permit = connection.acquire(&CallContext::new(Lane::Sync)).await.unwrap();
                order.lock().unwrap().push(number);
                sleep(SECOND / 20).await;
                let _ = permit.complete(StatusCode::OK, &headers(Bucket::Organization, 200, 150), b"");
            });
            tokio::task::yield_now().await;
        }
    }
    requests.join_all().await;
    assert_eq!(*order.lock().unwrap(), [1, 0, 1, 0, 1, 0, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn connections_of_one_user_share_the_limit_of_that_user() {
    let budgets = Budgets::default();
    let (one, two) = (limiter(&budgets, "acme", &[Any]), limiter(&budgets, "globex", &[Any]));
    let call = || CallContext::new(Lane::Interactive).with_deadline(Some(Instant::now() + SECOND * 5));
    let permit = one.acquire(&call()).await.unwrap();
    let _ = permit.complete(StatusCode::OK, &headers(Bucket::User, 50, 0), b"");
    two.acquire(&call()).await.unwrap().refund();
    one.learn(0, identity("ada"));
    two.learn(0, identity("ada"));
    assert_eq!(two.acquire(&call()).await.unwrap_err().bucket, Some(Bucket::User));
    // The organization of the other one is not concerned.
    two.learn(0, identity("grace"));
    two.acquire(&call()).await.unwrap().refund();
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_ended_leaves_what_it_shared_to_the_others() {
    let budgets = Budgets::default();
    let (one, two) = (limiter(&budgets, "acme", &[Any]), limiter(&budgets, "acme", &[Any]));
    let permit = one.acquire(&CallContext::new(Lane::Sync)).await.unwrap();
    let _ = permit.complete(StatusCode::OK, &headers(Bucket::Organization, 200, 0), b"");
    drop(one);
    let call = CallContext::new(Lane::Interactive).with_deadline(Some(Instant::now() + SECOND * 5));
    assert_eq!(two.acquire(&call).await.unwrap_err().bucket, Some(Bucket::Organization));
}

#[test]
fn credentials_of_one_user_are_one_bucket_until_one_is_replaced() {
    let limiter = limiter(&Budgets::default(), "acme", &[Any, Sync, Provisioning]);
    assert_eq!(limiter.first_of_user(), [0, 1, 2]);
    limiter.learn(0, identity("ada"));
    limiter.learn(2, vec!["ada".into(), "ada@example.com".into()]);
    limiter.learn(1, identity("ada@example.com"));
    assert_eq!(limiter.first_of_user(), [0, 0, 0]);
    limiter.learn(1, identity("grace"));
    assert_eq!(limiter.first_of_user(), [0, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_request_goes_to_the_credential_whose_user_has_most_left() {
    let limiter = limiter(&Budgets::default(), "acme", &[Any, Any]);
    let permit = limiter.acquire(&CallContext::new(Lane::Sync)).await.unwrap();
    assert_eq!(permit.credential(), 0);
    let _ = permit.complete(StatusCode::OK, &headers(Bucket::User, 50, 20), b"");
    let permit = limiter.acquire(&CallContext::new(Lane::Sync)).await.unwrap();
    assert_eq!(permit.credential(), 1);
    let _ = permit.complete(StatusCode::OK, &headers(Bucket::User, 50, 10), b"");
    assert_eq!(served_by(&limiter, Lane::Sync, Route::Read).await, 0);
    assert_eq!(served_by(&limiter, Lane::Sync, Route::Credential(1)).await, 1);
}

#[tokio::test(start_paused = true)]
async fn credentials_that_cannot_be_used_leave_their_work_to_others() {
    let limiter = limiter(&Budgets::default(), "acme", &[Sync, Any, Provisioning]);
    let serving = async || {
        let read = served_by(&limiter, Lane::Sync, Route::Read).await;
        (read, served_by(&limiter, Lane::Provisioning, Route::Change).await)
    };
    assert_eq!(serving().await, (0, 2));
    limiter.set_usable(0, false);
    limiter.set_usable(2, false);
    assert_eq!(serving().await, (1, 1));
    // None is left: the request shows why.
    limiter.set_usable(1, false);
    assert_eq!(serving().await, (0, 2));
}

/// A limiter with a credential for changes and one for reads. Their users have nothing left, for 58 and for 30 seconds.
async fn exhausted(organization: &HeaderMap) -> RateLimiter {
    let limiter = limiter(&Budgets::default(), "acme", &[Provisioning, Sync]);
    for (lane, reset) in [(Lane::Provisioning, 58), (Lane::Sync, 30)] {
        let permit = limiter.acquire(&CallContext::new(lane)).await.unwrap();
        let mut headers = headers_until(Bucket::User, [50, 0, reset]);
        headers.extend(organization.clone());
        let _ = permit.complete(StatusCode::OK, &headers, b"");
    }
    limiter
}

#[rstest]
#[case::by_the_limit_of_their_user(HeaderMap::new(), 1)]
#[case::by_the_limit_of_the_organization(headers_until(Bucket::Organization, [200, 40, 58]), 1)]
#[case::by_a_reserve_of_their_user(HeaderMap::new(), 45)]
#[tokio::test(start_paused = true)]
async fn reads_are_not_rejected_for_changes_that_wait_for_another_user(
    #[case] organization: HeaderMap,
    #[case] reads: usize,
) {
    let limiter = exhausted(&organization).await;
    let mut requests = tokio::task::JoinSet::new();
    for lane in [vec![Lane::Provisioning; 50], vec![Lane::Sync; reads]].concat() {
        let limiter = limiter.clone();
        requests.spawn(async move {
            let permit = limiter.acquire(&CallContext::new(lane)).await;
            sleep(SECOND / 20).await;
            (lane, permit.map(|permit| permit.credential()))
        });
    }
    let results = requests.join_all().await;
    let of_reads = results.into_iter().filter(|(lane, _)| *lane == Lane::Sync);
    assert_eq!(of_reads.collect::<Vec<_>>(), vec![(Lane::Sync, Ok(1)); reads]);
}

#[tokio::test(start_paused = true)]
async fn the_forecast_of_reads_keeps_no_reserve_of_a_user_who_makes_no_changes() {
    let limiter = exhausted(&HeaderMap::new()).await;
    let first = limiter.forecast(Lane::Sync, 1);
    assert!(first.is_some());
    assert_eq!(limiter.forecast(Lane::Sync, 50), first);
    assert!(limiter.forecast(Lane::Sync, 51) > first);
}
