//! The cost of the rate limiter per request: acquiring a permit and settling it with a response, with the headers of
//! both limits parsed. In real time, and without a network.
//!
//! `cargo bench --bench scheduler`

#![allow(clippy::unwrap_used, reason = "a bench that cannot go on has failed")]

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::time::Duration;

use buildkite_connector::governance::{CallContext, Lane};
use buildkite_connector::providers::buildkite::budget::{BudgetOptions, Permit, RateLimiter};
use divan::Bencher;
use divan::counter::ItemsCount;
use futures::FutureExt;
use futures::future::join_all;
use http::{HeaderMap, HeaderName, StatusCode};
use tokio::runtime::{Builder, Runtime};
use tokio::task::yield_now;

/// Large enough to outlast the bench; the cost does not depend on it.
const LIMIT: i64 = 1_000_000;

/// Sync requests that may be in flight at once.
const MAX_IN_FLIGHT: usize = 16;

fn main() {
    divan::main();
}

/// A grant passes syncs that wait because the whole window is reserved from them.
#[divan::bench(args = [0, 1, 16, 1_000])]
fn grant_past_waiting_with_limits(bencher: Bencher, waiting: usize) {
    let (runtime, sync, headers) = (runtime(), CallContext::new(Lane::Sync), Headers::limited());
    let limiter = limiter(100);
    // The reserve leaves one request to the other lanes: this one.
    pass(&limiter, &CallContext::new(Lane::Interactive), &headers.next());
    let waiting = wait(&runtime, &limiter, &sync, waiting);
    let grant = CallContext::new(Lane::Provisioning);
    bencher
        .with_inputs(|| headers.next())
        .bench_local_refs(|headers| pass(&limiter, &grant, headers));
    drop(waiting);
}

/// A grant passes syncs that wait for the concurrency limit; no response has limit headers.
#[divan::bench(args = [0, 1, 16, 1_000])]
fn grant_past_waiting_without_limits(bencher: Bencher, waiting: usize) {
    let (runtime, sync, headers) = (runtime(), CallContext::new(Lane::Sync), Headers::none());
    let limiter = limiter(0);
    warm_up(&limiter, &sync, &headers);
    let in_flight: Vec<Permit> = (0..MAX_IN_FLIGHT).map(|_| acquire(&limiter, &sync)).collect();
    let waiting = wait(&runtime, &limiter, &sync, waiting);
    let grant = CallContext::new(Lane::Provisioning);
    bencher
        .with_inputs(|| headers.next())
        .bench_local_refs(|headers| pass(&limiter, &grant, headers));
    drop(waiting);
    in_flight.into_iter().for_each(Permit::refund);
}

/// `requests` of a sync arrive at once and are sent sixteen at a time; waiting and waking are included.
#[divan::bench(args = [1, 16, 1_000], sample_count = 20)]
fn queue_with_limits(bencher: Bencher, requests: usize) {
    queue(bencher, requests, &Headers::limited());
}

/// The same without limit headers.
#[divan::bench(args = [1, 16, 1_000], sample_count = 20)]
fn queue_without_limits(bencher: Bencher, requests: usize) {
    queue(bencher, requests, &Headers::none());
}

fn queue(bencher: Bencher, requests: usize, headers: &Headers) {
    let (runtime, limiter, sync) = (runtime(), limiter(0), CallContext::new(Lane::Sync));
    warm_up(&limiter, &sync, headers);
    bencher
        .counter(ItemsCount::new(requests))
        .with_inputs(|| (0..requests).map(|_| headers.next()).collect::<Vec<_>>())
        .bench_local_values(|headers| {
            let headers = RefCell::new(headers.into_iter());
            let request = || async {
                let permit = limiter.acquire(&sync).await.unwrap();
                yield_now().await;
                let headers = headers.borrow_mut().next().unwrap();
                permit.complete(StatusCode::OK, &headers, b"").is_none()
            };
            runtime.block_on(join_all((0..requests).map(|_| request())))
        });
}

/// A limiter that reserves `reserve` percent from syncs, and rejects no request.
fn limiter(reserve: u8) -> RateLimiter {
    RateLimiter::new(BudgetOptions {
        reserve: Some(reserve),
        max_wait: Duration::from_secs(3_600),
        ..BudgetOptions::default()
    })
}

/// Runs the timers of the waiters.
fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().unwrap()
}

/// Completes slow start, which allows one more request in flight for each response without limit headers.
fn warm_up(limiter: &RateLimiter, call: &CallContext, headers: &Headers) {
    for _ in 0..MAX_IN_FLIGHT {
        pass(limiter, call, &headers.next());
    }
}

fn pass(limiter: &RateLimiter, call: &CallContext, headers: &HeaderMap) {
    let limit = acquire(limiter, call).complete(StatusCode::OK, headers, b"");
    assert_eq!(limit, None);
}

/// Acquires a permit that is granted at once.
fn acquire(limiter: &RateLimiter, call: &CallContext) -> Permit {
    limiter.acquire(call).now_or_never().unwrap().unwrap()
}

type Waiting<'limiter> = Pin<Box<dyn Future<Output = ()> + 'limiter>>;

/// Waiters that stay in the queue until the returned value is dropped.
fn wait<'limiter>(
    runtime: &Runtime,
    limiter: &'limiter RateLimiter,
    call: &'limiter CallContext,
    waiting: usize,
) -> Vec<Waiting<'limiter>> {
    let _context = runtime.enter();
    let one = |_| {
        let mut one: Waiting = Box::pin(limiter.acquire(call).map(drop));
        assert_eq!(one.as_mut().now_or_never(), None);
        one
    };
    (0..waiting).map(one).collect()
}

/// The limit headers of consecutive responses.
struct Headers {
    limit: Option<i64>,
    sent: Cell<i64>,
}

impl Headers {
    fn limited() -> Self {
        Self {
            limit: Some(LIMIT),
            sent: Cell::new(0),
        }
    }

    fn none() -> Self {
        Self {
            limit: None,
            sent: Cell::new(0),
        }
    }

    fn next(&self) -> HeaderMap {
        let Some(limit) = self.limit else {
            return HeaderMap::new();
        };
        self.sent.set(self.sent.get() + 1);
        let remaining = limit - self.sent.get();
        [
            ("ratelimit-limit", limit),
            ("ratelimit-remaining", remaining),
            ("ratelimit-reset", 60),
            ("ratelimit-user-limit", limit),
            ("ratelimit-user-remaining", remaining),
            ("ratelimit-user-reset", 60),
        ]
        .into_iter()
        .map(|(name, value)| (HeaderName::from_static(name), value.into()))
        .collect()
    }
}
