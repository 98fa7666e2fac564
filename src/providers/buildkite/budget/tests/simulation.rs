//! A keeper and a model, driven event by event: every instant is chosen by the test.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::model::{Counted, Counter, Model, Rounding};
use crate::providers::buildkite::budget::keeper::{Answer, Keeper, Turn};
use crate::providers::buildkite::budget::ticket::Ticket;
use crate::providers::buildkite::budget::{Bucket, BudgetOptions, Reading, Refusal};
use crate::providers::buildkite::call::Lane;

pub(crate) type Change = fn(&mut Dice, Reading) -> Reading;

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
    pub(crate) joined: Duration,
    pub(crate) left: Duration,
    pub(crate) answered: Option<Duration>,
    pub(crate) counted: Vec<(Bucket, Counted)>,
}

impl Sent {
    pub(crate) fn waited(&self) -> Duration {
        self.left.saturating_sub(self.joined)
    }

    pub(crate) fn refused_by(&self) -> Option<(Bucket, Counted)> {
        self.counted.iter().copied().find(|(_, counted)| counted.refused)
    }
}

/// Numbers that look random and are the same in every run.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides.max(1)
    }

    fn up_to(&mut self, most: Duration) -> Duration {
        Duration::from_micros(self.roll(u64::try_from(most.as_micros()).unwrap() + 1))
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Others(usize),
    Count(usize),
    Answer(usize),
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
struct Joined {
    lane: Lane,
    at: Duration,
    /// Requests that follow this one.
    follow: u32,
}

struct Simulation {
    plan: Plan,
    keeper: Keeper,
    epoch: Instant,
    now: Duration,
    dice: Dice,
    events: BinaryHeap<Reverse<(Duration, u64, Event)>>,
    order: u64,
    joined: HashMap<u64, Joined>,
    tickets: HashMap<usize, Ticket>,
    /// What follows for each grant's request that is under way.
    unfinished: HashMap<usize, u32>,
    sent: Vec<Sent>,
}

impl Simulation {
    fn new(plan: Plan) -> Self {
        let epoch = Instant::now();
        let mut simulation = Self {
            keeper: Keeper::new(BudgetOptions::default(), epoch),
            epoch,
            now: Duration::ZERO,
            dice: Dice(plan.seed),
            events: BinaryHeap::new(),
            order: 0,
            joined: HashMap::new(),
            tickets: HashMap::new(),
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
            simulation.join(Lane::Sync, 0);
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

    fn join(&mut self, lane: Lane, follow: u32) {
        let patience = self.at() + Duration::from_secs(24 * 3600);
        let number = self.keeper.join(lane, patience);
        let at = self.now;
        self.joined.insert(number, Joined { lane, at, follow });
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
                Event::Answer(index) => self.answer(index),
                Event::Grant => self.join(Lane::Provisioning, self.plan.each - 1),
                Event::Wake => {}
            }
            self.turns();
        }
    }

    fn turns(&mut self) {
        loop {
            match self.keeper.turn(self.at()) {
                Turn::Admit(admitted) => {
                    let joined = self.joined.remove(&admitted.number).unwrap();
                    self.send(joined, admitted.ticket);
                }
                Turn::Refuse(refused) => panic!("refused {refused:?} with a day's patience"),
                Turn::Rest(Some(until)) => {
                    let until = until - self.epoch;
                    assert!(until > self.now, "a moment that is over wakes nobody up later");
                    return self.schedule(until, Event::Wake);
                }
                Turn::Rest(None) => return,
            }
        }
    }

    fn send(&mut self, Joined { lane, at, follow }: Joined, ticket: Ticket) {
        let index = self.sent.len();
        self.tickets.insert(index, ticket);
        self.unfinished.insert(index, follow);
        self.sent.push(Sent {
            lane,
            joined: at,
            left: self.now,
            answered: None,
            counted: Vec::new(),
        });
        let there = self.now + self.dice.up_to(self.plan.way);
        let back = there + self.dice.up_to(self.plan.way);
        let is_lost = self.dice.roll(1000) < self.plan.lost;
        if !is_lost || self.dice.roll(2) == 0 {
            self.schedule(there, Event::Count(index));
        }
        if is_lost {
            // Given up after its time is over.
            let given_up = back + Duration::from_secs(self.dice.roll(10));
            self.schedule(given_up, Event::Answer(index));
        } else {
            self.sent[index].answered = Some(back);
            self.schedule(back, Event::Answer(index));
        }
        if lane == Lane::Sync {
            self.join(Lane::Sync, 0);
        }
    }

    fn count(&mut self, index: usize) {
        for bucket in Bucket::ALL {
            let counted = self.plan.model.spend(bucket, self.now, 1);
            self.sent[index].counted.push((bucket, counted));
        }
    }

    fn answer(&mut self, index: usize) {
        let ticket = self.tickets.remove(&index).unwrap();
        let sent = self.sent[index].clone();
        if sent.answered.is_none() {
            return self.keeper.lost(&ticket, self.at());
        }
        let mut answer = Answer::default();
        if self.dice.roll(1000) >= self.plan.silent {
            answer.organization = Some((self.plan.change)(&mut self.dice, sent.counted[0].1.reading));
            answer.user = Some((self.plan.change)(&mut self.dice, sent.counted[1].1.reading));
        }
        answer.refusal = sent.refused_by().map(|(bucket, counted)| Refusal {
            bucket: Some(bucket),
            reset: counted.reading.reset,
        });
        let closed = self.keeper.answered(&ticket, answer, self.at());
        assert_eq!(closed.is_some(), answer.refusal.is_some());
        if let Some(follow) = self.unfinished.remove(&index).and_then(|left| left.checked_sub(1)) {
            self.join(sent.lane, follow);
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
        change: |_, reading| reading,
        syncs: 20,
        grants: Vec::new(),
        each: 1,
        others: Vec::new(),
        until: Duration::from_secs(250),
    })
}
