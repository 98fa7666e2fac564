//! A scheduler and a model, driven event by event: the test chooses every instant.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::model::{Counted, Counter, Model, Rounding};
use crate::governance::Lane;
use crate::governance::rate_limit::Bucket;
use crate::providers::buildkite::budget::scheduler::{Action, InFlight, ResponseLimits, Scheduler};
use crate::providers::buildkite::budget::{BudgetOptions, CredentialUse, LimitHeaders, Route, TooManyRequests};

/// The only connection.
const CONNECTION: u64 = 0;

pub(crate) type Change = fn(&mut Rng, LimitHeaders) -> LimitHeaders;

/// What happens in a simulation.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) model: Model,
    pub(crate) seed: u64,
    /// Longest time to Buildkite, and the longest time back.
    pub(crate) one_way: Duration,
    /// Of a thousand requests, how many are lost on the way there or back.
    pub(crate) lost: u64,
    /// Of a thousand responses, how many lack the limit headers.
    pub(crate) silent: u64,
    /// Changes the headers of the other responses.
    pub(crate) change: Change,
    /// Sync requests that wait at any time.
    pub(crate) syncs: usize,
    /// When grants arrive.
    pub(crate) grants: Vec<Duration>,
    /// Sequential requests of each grant.
    pub(crate) requests_per_grant: u32,
    /// When other consumers send requests, to which bucket, and how many.
    pub(crate) other_consumers: Vec<(Duration, Bucket, u32)>,
    pub(crate) until: Duration,
}

/// One request and its result.
#[derive(Debug, Clone)]
pub(crate) struct SimulatedRequest {
    pub(crate) lane: Lane,
    pub(crate) enqueued_at: Duration,
    pub(crate) sent_at: Duration,
    pub(crate) answered_at: Option<Duration>,
    pub(crate) counted: Vec<(Bucket, Counted)>,
}

impl SimulatedRequest {
    pub(crate) fn waited(&self) -> Duration {
        self.sent_at.saturating_sub(self.enqueued_at)
    }

    pub(crate) fn refused_by(&self) -> Option<(Bucket, Counted)> {
        self.counted.iter().copied().find(|(_, counted)| counted.refused)
    }
}

/// A deterministic pseudo-random number generator.
#[derive(Debug, Clone)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end.max(1)
    }

    fn up_to(&mut self, max: Duration) -> Duration {
        Duration::from_micros(self.below(u64::try_from(max.as_micros()).unwrap() + 1))
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Others(usize),
    Count(usize),
    Respond(usize),
    Grant,
    Wake,
}

pub(crate) fn run(plan: &Plan) -> Vec<SimulatedRequest> {
    let mut simulation = Simulation::new(plan.clone());
    simulation.run();
    simulation.sent
}

/// A waiter.
#[derive(Debug, Clone, Copy)]
struct Enqueued {
    lane: Lane,
    at: Duration,
    /// Requests that follow this one.
    follow: u32,
}

struct Simulation {
    plan: Plan,
    scheduler: Scheduler,
    epoch: Instant,
    now: Duration,
    rng: Rng,
    events: BinaryHeap<Reverse<(Duration, u64, Event)>>,
    order: u64,
    enqueued: HashMap<u64, Enqueued>,
    in_flight: HashMap<usize, InFlight>,
    /// For each request in flight, how many follow it.
    unfinished: HashMap<usize, u32>,
    sent: Vec<SimulatedRequest>,
}

impl Simulation {
    fn new(plan: Plan) -> Self {
        let epoch = Instant::now();
        let mut simulation = Self {
            scheduler: Scheduler::default(),
            epoch,
            now: Duration::ZERO,
            rng: Rng(plan.seed),
            events: BinaryHeap::new(),
            order: 0,
            enqueued: HashMap::new(),
            in_flight: HashMap::new(),
            unfinished: HashMap::new(),
            sent: Vec::new(),
            plan,
        };
        let mut bucket = 0;
        let next_bucket = || {
            bucket += 1;
            bucket
        };
        simulation.scheduler.add(
            CONNECTION,
            None,
            &[CredentialUse::Any],
            BudgetOptions::default(),
            epoch,
            next_bucket,
        );
        for at in simulation.plan.grants.clone() {
            simulation.schedule(at, Event::Grant);
        }
        for (index, (at, ..)) in simulation.plan.other_consumers.clone().into_iter().enumerate() {
            simulation.schedule(at, Event::Others(index));
        }
        for _ in 0..simulation.plan.syncs {
            simulation.enqueue(Lane::Sync, 0);
        }
        simulation.schedule(Duration::ZERO, Event::Wake);
        simulation
    }

    fn schedule(&mut self, at: Duration, event: Event) {
        self.order += 1;
        self.events.push(Reverse((at, self.order, event)));
    }

    fn at(&self) -> Instant {
        self.epoch + self.now
    }

    fn enqueue(&mut self, lane: Lane, follow: u32) {
        let deadline = self.at() + Duration::from_secs(24 * 3600);
        self.order += 1;
        let waiter = self.order;
        self.scheduler.enqueue(CONNECTION, waiter, lane, Route::Read, deadline);
        let at = self.now;
        self.enqueued.insert(waiter, Enqueued { lane, at, follow });
    }

    fn run(&mut self) {
        while let Some(Reverse((at, _, event))) = self.events.pop() {
            if at > self.plan.until {
                return;
            }
            self.now = at;
            match event {
                Event::Others(index) => {
                    let (_, bucket, requests) = self.plan.other_consumers[index];
                    self.plan.model.spend(bucket, at, requests);
                }
                Event::Count(index) => self.count(index),
                Event::Respond(index) => self.respond(index),
                Event::Grant => self.enqueue(Lane::Provisioning, self.plan.requests_per_grant - 1),
                Event::Wake => {}
            }
            self.dispatch();
        }
    }

    fn dispatch(&mut self) {
        loop {
            match self.scheduler.next_action(self.at()) {
                Action::Grant(granted) => {
                    let waiter = self.enqueued.remove(&granted.waiter).unwrap();
                    self.send(waiter, granted.request);
                }
                Action::Reject(rejected) => panic!("{rejected:?} although it may wait for a day"),
                Action::SleepUntil(Some(until)) => {
                    let until = until - self.epoch;
                    assert!(until > self.now, "a past instant can never wake a waiter");
                    return self.schedule(until, Event::Wake);
                }
                Action::SleepUntil(None) => return,
            }
        }
    }

    fn send(&mut self, Enqueued { lane, at, follow }: Enqueued, request: InFlight) {
        let index = self.sent.len();
        self.in_flight.insert(index, request);
        self.unfinished.insert(index, follow);
        self.sent.push(SimulatedRequest {
            lane,
            enqueued_at: at,
            sent_at: self.now,
            answered_at: None,
            counted: Vec::new(),
        });
        let there = self.now + self.rng.up_to(self.plan.one_way);
        let back = there + self.rng.up_to(self.plan.one_way);
        let is_lost = self.rng.below(1000) < self.plan.lost;
        if !is_lost || self.rng.below(2) == 0 {
            self.schedule(there, Event::Count(index));
        }
        if is_lost {
            // The client times out.
            let timed_out = back + Duration::from_secs(self.rng.below(10));
            self.schedule(timed_out, Event::Respond(index));
        } else {
            self.sent[index].answered_at = Some(back);
            self.schedule(back, Event::Respond(index));
        }
        if lane == Lane::Sync {
            self.enqueue(Lane::Sync, 0);
        }
    }

    fn count(&mut self, index: usize) {
        for bucket in Bucket::ALL {
            let counted = self.plan.model.spend(bucket, self.now, 1);
            self.sent[index].counted.push((bucket, counted));
        }
    }

    fn respond(&mut self, index: usize) {
        let request = self.in_flight.remove(&index).unwrap();
        let sent = self.sent[index].clone();
        if sent.answered_at.is_none() {
            return self.scheduler.abandon(&request, self.at());
        }
        let mut response = ResponseLimits::default();
        if self.rng.below(1000) >= self.plan.silent {
            response.organization = Some((self.plan.change)(&mut self.rng, sent.counted[0].1.headers));
            response.user = Some((self.plan.change)(&mut self.rng, sent.counted[1].1.headers));
        }
        response.too_many_requests = sent.refused_by().map(|(bucket, counted)| TooManyRequests {
            bucket: Some(bucket),
            reset: counted.headers.reset,
        });
        let limit = self.scheduler.complete(&request, response, self.at());
        assert_eq!(limit.is_some(), response.too_many_requests.is_some());
        if let Some(follow) = self.unfinished.remove(&index).and_then(|left| left.checked_sub(1)) {
            self.enqueue(sent.lane, follow);
        }
    }
}

/// Any limits, alignment, rounding and latency, with a saturating sync.
pub(crate) fn saturated() -> impl Strategy<Value = Plan> {
    let rounding = prop_oneof![Just(Rounding::Floor), Just(Rounding::Ceil), Just(Rounding::Nearest)];
    let counter = |limits| {
        (limits, 0_u64..60_000, rounding.clone())
            .prop_map(|(limit, offset, rounding)| Counter::new(limit, Duration::from_millis(offset), rounding))
    };
    let model =
        (counter(8_u32..250), counter(5_u32..120)).prop_map(|(organization, user)| Model { organization, user });
    (model, any::<u64>(), 0_u64..400).prop_map(|(model, seed, one_way)| Plan {
        model,
        seed,
        one_way: Duration::from_millis(one_way),
        lost: 0,
        silent: 0,
        change: |_, headers| headers,
        syncs: 20,
        grants: Vec::new(),
        requests_per_grant: 1,
        other_consumers: Vec::new(),
        until: Duration::from_secs(250),
    })
}
