//! What the budget keeper costs a request: entering through the door and telling it the answer, both limits' headers read.
//! In real time, and without a network.
//!
//! `cargo bench --bench keeper`

#![allow(clippy::unwrap_used, reason = "a bench that cannot go on has failed")]

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::time::Duration;

use buildkite_connector::providers::buildkite::budget::{Admission, BudgetOptions, Door};
use buildkite_connector::providers::buildkite::{CallContext, Lane};
use divan::Bencher;
use divan::counter::ItemsCount;
use futures::FutureExt;
use futures::future::join_all;
use http::{HeaderMap, HeaderName, StatusCode};
use tokio::runtime::{Builder, Runtime};
use tokio::task::yield_now;

/// Large enough to outlast the bench: the keeper's work does not depend on it.
const LIMIT: i64 = 1_000_000;

/// Requests of syncs that may be under way at once.
const CROWD: usize = 16;

fn main() {
    divan::main();
}

/// A grant passes the syncs that wait because all of the window is kept from them.
#[divan::bench(args = [0, 1, 16, 1_000])]
fn grant_past_waiting_with_limits(bencher: Bencher, waiting: usize) {
    let (runtime, sync, headers) = (runtime(), CallContext::new(Lane::Sync), Headers::limited());
    let door = door(100);
    // The reserve leaves one request to others: this one.
    pass(&door, &CallContext::new(Lane::Interactive), &headers.next());
    let waiting = wait(&runtime, &door, &sync, waiting);
    let grant = CallContext::new(Lane::Provisioning);
    bencher
        .with_inputs(|| headers.next())
        .bench_local_refs(|headers| pass(&door, &grant, headers));
    drop(waiting);
}

/// A grant passes the syncs that wait because as many are under way as may be; no answer tells of a limit.
#[divan::bench(args = [0, 1, 16, 1_000])]
fn grant_past_waiting_without_limits(bencher: Bencher, waiting: usize) {
    let (runtime, sync, headers) = (runtime(), CallContext::new(Lane::Sync), Headers::none());
    let door = door(0);
    warm_up(&door, &sync, &headers);
    let crowd: Vec<Admission> = (0..CROWD).map(|_| enter(&door, &sync)).collect();
    let waiting = wait(&runtime, &door, &sync, waiting);
    let grant = CallContext::new(Lane::Provisioning);
    bencher
        .with_inputs(|| headers.next())
        .bench_local_refs(|headers| pass(&door, &grant, headers));
    drop(waiting);
    crowd.into_iter().for_each(Admission::never_sent);
}

/// So many requests of a sync come at once and pass sixteen at a time, waiting and being called included.
#[divan::bench(args = [1, 16, 1_000], sample_count = 20)]
fn queue_with_limits(bencher: Bencher, requests: usize) {
    queue(bencher, requests, &Headers::limited());
}

/// The same where no answer tells of a limit.
#[divan::bench(args = [1, 16, 1_000], sample_count = 20)]
fn queue_without_limits(bencher: Bencher, requests: usize) {
    queue(bencher, requests, &Headers::none());
}

fn queue(bencher: Bencher, requests: usize, headers: &Headers) {
    let (runtime, door, sync) = (runtime(), door(0), CallContext::new(Lane::Sync));
    warm_up(&door, &sync, headers);
    bencher
        .counter(ItemsCount::new(requests))
        .with_inputs(|| (0..requests).map(|_| headers.next()).collect::<Vec<_>>())
        .bench_local_values(|headers| {
            let headers = RefCell::new(headers.into_iter());
            let request = || async {
                let admission = door.enter(&sync).await.unwrap();
                yield_now().await;
                let headers = headers.borrow_mut().next().unwrap();
                admission.answered(StatusCode::OK, &headers, b"").is_none()
            };
            runtime.block_on(join_all((0..requests).map(|_| request())))
        });
}

/// A door that keeps so many percent from syncs, and sends nobody away.
fn door(reserve: u8) -> Door {
    Door::new(BudgetOptions {
        reserve: Some(reserve),
        max_wait: Duration::from_secs(3_600),
        ..BudgetOptions::default()
    })
}

/// For the timers of those who wait.
fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().unwrap()
}

/// At first only a few may be under way, and where no answer tells of a limit, more and more.
fn warm_up(door: &Door, call: &CallContext, headers: &Headers) {
    for _ in 0..CROWD {
        pass(door, call, &headers.next());
    }
}

fn pass(door: &Door, call: &CallContext, headers: &HeaderMap) {
    let closed = enter(door, call).answered(StatusCode::OK, headers, b"");
    assert_eq!(closed, None);
}

/// Enters where nothing is in the way.
fn enter(door: &Door, call: &CallContext) -> Admission {
    door.enter(call).now_or_never().unwrap().unwrap()
}

type Waiting<'door> = Pin<Box<dyn Future<Output = ()> + 'door>>;

/// So many who wait for as long as what is returned lives.
fn wait<'door>(runtime: &Runtime, door: &'door Door, call: &'door CallContext, waiting: usize) -> Vec<Waiting<'door>> {
    let _context = runtime.enter();
    let one = |_| {
        let mut one: Waiting = Box::pin(door.enter(call).map(drop));
        assert_eq!(one.as_mut().now_or_never(), None);
        one
    };
    (0..waiting).map(one).collect()
}

/// What answers tell of the limits, one after the other.
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
