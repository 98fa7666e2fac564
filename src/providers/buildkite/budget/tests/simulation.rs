//! A keeper and a model, driven event by event: every instant is chosen by the test.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::model::{Counted, Counter, Model, Rounding};
use crate::providers::buildkite::budget::scheduler::{Action, InFlight, ResponseLimits, Scheduler};
use crate::providers::buildkite::budget::{Bucket, BudgetOptions, LimitHeaders, TooManyRequests};
use crate::providers::buildkite::call::Lane;

pub(crate) type Change = fn(&mut Rng, LimitHeaders) -> LimitHeaders;

/// What happens in a simulation.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) model: Model,
    pub(crate) seed: u64,
    /// Longest way to Buildkite, and back.
    pub(crate) way: Duration,
    /// Of a thousand requests, so many are lost on the way there or back, or answered without any of the headers.
    pub(crate) lost: u64,
    pub(crate) silent: u64,
    /// What becomes of the headers of the others.
    pub(crate) change: Change,
    /// Sync requests that want to be sent, always; none: nothing but the grants.
    pub(crate) syncs: usize,
    /// When somebody grants.
    pub(crate) grants: Vec<Duration>,
    /// Requests that each grant takes, one after the other.
    pub(crate) each: u32,
    /// When others spend, which bucket, and how much.
    pub(crate) others: Vec<(Duration, Bucket, u32)>,
    pub(crate) until: Duration,
}

/// What became of one request.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) lane: Lane,
    pub(crate) enqueued_at: Duration,
    pub(crate) left: Duration,
    pub(crate) answered: Option<Duration>,
    pub(crate) counted: Vec<(Bucket, Counted)>,
}

impl Sent {
    pub(crate) fn waited(&self) -> Duration {
        self.left.saturating_sub(self.enqueued_at)
    }

    pub(crate) fn refused_by(&self) -> Option<(Bucket, Counted)> {
        self.counted.iter().copied().find(|(_, counted)| counted.refused)
    }
}

/// Numbers that look random and are the same in every run.
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

    fn up_to(&mut self, most: Duration) -> Duration {
        Duration::from_micros(self.below(u64::try_from(most.as_micros()).unwrap() + 1))
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

pub(crate) fn run(plan: &Plan) -> Vec<Sent> {
    let mut simulation = Simulation::new(plan.clone());
    simulation.run();
    simulation.sent
}

/// Somebody who waits.
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
    /// What follows for each grant's request that is under way.
    unfinished: HashMap<usize, u32>,
    sent: Vec<Sent>,
}

impl Simulation {
    fn new(plan: Plan) -> Self {
        let epoch = Instant::now();
        let mut simulation = Self {
            scheduler: Scheduler::new(BudgetOptions::default(), epoch),
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
        for at in simulation.plan.grants.clone() {
            simulation.schedule(at, Event::Grant);
        }
        for (index, (at, ..)) in simulation.plan.others.clone().into_iter().enumerate() {
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
        let waiter = self.scheduler.enqueue(lane, deadline);
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
                    let (_, bucket, requests) = self.plan.others[index];
                    self.plan.model.spend(bucket, at, requests);
                }
                Event::Count(index) => self.count(index),
                Event::Respond(index) => self.respond(index),
                Event::Grant => self.enqueue(Lane::Provisioning, self.plan.each - 1),
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
        self.sent.push(Sent {
            lane,
            enqueued_at: at,
            left: self.now,
            answered: None,
            counted: Vec::new(),
        });
        let there = self.now + self.rng.up_to(self.plan.way);
        let back = there + self.rng.up_to(self.plan.way);
        let is_lost = self.rng.below(1000) < self.plan.lost;
        if !is_lost || self.rng.below(2) == 0 {
            self.schedule(there, Event::Count(index));
        }
        if is_lost {
            // Given up after its time is over.
            let given_up = back + Duration::from_secs(self.rng.below(10));
            self.schedule(given_up, Event::Respond(index));
        } else {
            self.sent[index].answered = Some(back);
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
        if sent.answered.is_none() {
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
        let closed = self.scheduler.complete(&request, response, self.at());
        assert_eq!(closed.is_some(), response.too_many_requests.is_some());
        if let Some(follow) = self.unfinished.remove(&index).and_then(|left| left.checked_sub(1)) {
            self.enqueue(sent.lane, follow);
        }
    }
}

/// Limits, alignment, rounding and latency of any kind; a saturating sync.
pub(crate) fn saturated() -> impl Strategy<Value = Plan> {
    let rounding = prop_oneof![Just(Rounding::Floor), Just(Rounding::Ceil), Just(Rounding::Nearest)];
    let counter = |limits| {
        (limits, 0_u64..60_000, rounding.clone())
            .prop_map(|(limit, offset, rounding)| Counter::new(limit, Duration::from_millis(offset), rounding))
    };
    let model =
        (counter(8_u32..250), counter(5_u32..120)).prop_map(|(organization, user)| Model { organization, user });
    (model, any::<u64>(), 0_u64..400).prop_map(|(model, seed, way)| Plan {
        model,
        seed,
        way: Duration::from_millis(way),
        lost: 0,
        silent: 0,
        change: |_, headers| headers,
        syncs: 20,
        grants: Vec::new(),
        each: 1,
        others: Vec::new(),
        until: Duration::from_secs(250),
    })
}
