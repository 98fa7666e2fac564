//! The budget keeper: who may send a request now, as a plain state machine.
//!
//! It does no I/O and has no clock; every call passes the instant in. What it is told (somebody joins or leaves, a
//! request was answered or lost) changes its state; [`Keeper::turn`] then says, one at a time, what follows: let this
//! one through, send that one away, or rest until a moment. The [door](super::door) does the waiting.
//!
//! A request passes when both buckets, the crowd in flight and the operator's own limit leave room for its lane. What
//! blocks a lane blocks those behind it too, so nobody overtakes a waiting grant.

use tokio::time::Instant;

use super::LimitExceeded;
use super::bucket::Bucket;
use super::headers::{Bucket as Name, Reading, Refusal};
use super::lanes::{Lanes, Waiter};
use super::length::Outlook;
use super::options::BudgetOptions;
use super::pace::Pace;
use super::state::{BucketState, BudgetState};
use super::ticket::Ticket;
use crate::providers::buildkite::call::Lane;

/// Requests of syncs in flight at once: enough to hide latency.
const IN_FLIGHT: u32 = 16;

/// What follows from the state of things.
#[derive(Debug)]
pub(crate) enum Turn {
    /// This waiter may send a request.
    Admit(Admitted),
    /// This waiter cannot have its turn in time.
    Refuse(Refused),
    /// Nothing, until something happens or this moment comes.
    Rest(Option<Instant>),
}

/// A waiter's turn.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) number: u64,
    pub(crate) ticket: Ticket,
    /// Whether a rate limit made it wait.
    pub(crate) limited: bool,
}

/// A waiter's end.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) number: u64,
    pub(crate) closed: LimitExceeded,
    pub(crate) limited: bool,
}

/// What an answer says of the limits.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Answer {
    pub(crate) organization: Option<Reading>,
    pub(crate) user: Option<Reading>,
    /// For a 429: what it closes.
    pub(crate) refusal: Option<Refusal>,
}

/// The state of the budget.
#[derive(Debug)]
pub(crate) struct Keeper {
    organization: Bucket,
    user: Bucket,
    pace: Option<Pace>,
    lanes: Lanes,
    in_flight: u32,
    tickets: u64,
    waiters: u64,
}

impl Keeper {
    pub(crate) fn new(options: BudgetOptions, now: Instant) -> Self {
        Self {
            organization: Bucket::new(Name::Organization, options),
            user: Bucket::new(Name::User, options),
            pace: options.max_requests_per_minute.map(|limit| Pace::new(limit, now)),
            lanes: Lanes::default(),
            in_flight: 0,
            tickets: 0,
            waiters: 0,
        }
    }

    /// Somebody wants to send a request, and would wait for it until a moment. The number is theirs to leave with.
    pub(crate) fn join(&mut self, lane: Lane, until: Instant) -> u64 {
        self.waiters += 1;
        let waiter = Waiter {
            number: self.waiters,
            until,
            limited: false,
        };
        self.lanes.join(lane, waiter);
        self.waiters
    }

    /// Somebody waits no longer; whether a rate limit had made them wait.
    pub(crate) fn leave(&mut self, number: u64) -> bool {
        self.lanes.leave(number).is_some_and(|waiter| waiter.limited)
    }

    /// What follows now. To be asked until it is [`Turn::Rest`].
    pub(crate) fn turn(&mut self, now: Instant) -> Turn {
        let next = self.tickets;
        for bucket in self.buckets_mut() {
            bucket.settle(now, next);
        }
        if let Some(admitted) = self.admit(now) {
            return Turn::Admit(admitted);
        }
        if let Some(refused) = self.refuse(now) {
            return Turn::Refuse(refused);
        }
        self.mark_limited(now);
        Turn::Rest(self.changes_at(now))
    }

    fn admit(&mut self, now: Instant) -> Option<Admitted> {
        let lane = self.lanes.next(|lane| self.has_room(lane, now))?;
        let waiter = self.lanes.take(lane)?;
        let ticket = Ticket {
            number: self.tickets,
            lane,
            sent: now,
        };
        self.tickets += 1;
        self.in_flight += 1;
        for bucket in self.buckets_mut() {
            bucket.sent(&ticket);
        }
        if let Some(pace) = &mut self.pace {
            pace.sent(now);
        }
        Some(Admitted {
            number: waiter.number,
            ticket,
            limited: waiter.limited,
        })
    }

    fn has_room(&self, lane: Lane, now: Instant) -> bool {
        // A crowd of slow requests never stands in the way of those that somebody waits for.
        let most = match lane {
            Lane::Sync => IN_FLIGHT,
            Lane::Interactive => IN_FLIGHT + 2,
            Lane::Provisioning => IN_FLIGHT + 8,
        };
        self.in_flight < most
            && self.buckets().all(|bucket| bucket.admits(lane, self.in_flight, now))
            && self.pace.as_ref().is_none_or(|pace| pace.admits(lane, now))
    }

    /// The first who cannot have their turn in time, as far as can be foreseen.
    fn refuse(&mut self, now: Instant) -> Option<Refused> {
        let (number, closed, limited) = (0_u32..).zip(self.lanes.all()).find_map(|(ahead, (lane, waiter))| {
            let closed = self.forecast(lane, ahead, now, Outlook::AtBest);
            let too_late = waiter.until <= now || closed.retry_at.is_some_and(|at| at > waiter.until);
            too_late.then_some((waiter.number, closed, waiter.limited))
        })?;
        self.lanes.leave(number);
        Some(Refused {
            number,
            closed,
            limited,
        })
    }

    /// What keeps a request of this lane, with `ahead` others before it, and until when; no moment where it is the crowd.
    pub(crate) fn forecast(&self, lane: Lane, ahead: u32, now: Instant, outlook: Outlook) -> LimitExceeded {
        let of_buckets = self.buckets().map(|bucket| LimitExceeded {
            bucket: Some(bucket.name),
            limit: bucket.limit().map(i64::from),
            retry_at: Some(bucket.forecast(lane, ahead, self.in_flight, now, outlook)),
        });
        let of_pace = self.pace.as_ref().map(|pace| LimitExceeded {
            bucket: None,
            limit: Some(i64::from(pace.limit())),
            retry_at: Some(pace.forecast(lane, ahead, now)),
        });
        of_buckets
            .chain(of_pace)
            .filter(|closed| closed.retry_at.is_some_and(|at| at > now))
            .max_by_key(|closed| closed.retry_at)
            .unwrap_or_else(LimitExceeded::unknown)
    }

    fn mark_limited(&mut self, now: Instant) {
        let limited = |lane| self.forecast(lane, 0, now, Outlook::AtBest).retry_at.is_some();
        let [provisioning, interactive, sync] = Lane::ALL.map(limited);
        for (lane, waiter) in self.lanes.all_mut() {
            waiter.limited |= match lane {
                Lane::Provisioning => provisioning,
                Lane::Interactive => interactive,
                Lane::Sync => sync,
            };
        }
    }

    /// The next moment after `now` at which time alone changes something for somebody.
    fn changes_at(&self, now: Instant) -> Option<Instant> {
        let patience = self.lanes.all().map(|(_, waiter)| waiter.until).min()?;
        let of_buckets = self.buckets().filter_map(|bucket| bucket.changes_at(now));
        let of_pace = self.pace.as_ref().and_then(|pace| pace.changes_at(now));
        of_buckets.chain(of_pace).chain([patience]).min()
    }

    /// A request was answered; for a 429, what that closed.
    pub(crate) fn answered(&mut self, ticket: &Ticket, answer: Answer, now: Instant) -> Option<LimitExceeded> {
        self.in_flight = self.in_flight.saturating_sub(1);
        let (in_flight, next) = (self.in_flight, self.tickets);
        let says_nothing = answer.organization.is_none() && answer.user.is_none();
        for (bucket, reading) in [
            (&mut self.organization, answer.organization),
            (&mut self.user, answer.user),
        ] {
            match reading {
                Some(reading) => bucket.answered(ticket, reading, in_flight, now, next),
                None if says_nothing => bucket.silent(ticket, now),
                None => bucket.not_counted(ticket),
            }
        }
        if answer.refusal.is_none() && !says_nothing {
            self.buckets_mut().for_each(Bucket::passed);
        }
        answer.refusal.map(|refusal| self.close(ticket, refusal, now))
    }

    fn close(&mut self, ticket: &Ticket, refusal: Refusal, now: Instant) -> LimitExceeded {
        let next = self.tickets;
        let mut closed = LimitExceeded {
            bucket: refusal.bucket,
            ..LimitExceeded::unknown()
        };
        for bucket in self.buckets_mut() {
            if refusal.bucket.is_none_or(|named| named == bucket.name) {
                let until = bucket.close(ticket, refusal.wait(), now, next);
                closed.retry_at = closed.retry_at.max(Some(until));
                closed.limit = refusal.bucket.and(bucket.limit()).map(i64::from);
            }
        }
        closed
    }

    /// A request was sent and no answer came.
    pub(crate) fn lost(&mut self, ticket: &Ticket, now: Instant) {
        self.in_flight = self.in_flight.saturating_sub(1);
        for bucket in self.buckets_mut() {
            bucket.unknown(ticket, now);
        }
    }

    /// A request never left.
    pub(crate) fn withdrawn(&mut self, ticket: &Ticket) {
        self.in_flight = self.in_flight.saturating_sub(1);
        for bucket in self.buckets_mut() {
            bucket.withdrawn(ticket);
        }
        if let Some(pace) = &mut self.pace {
            pace.withdrawn(ticket.sent);
        }
    }

    /// How things stand.
    pub(crate) fn state(&mut self, now: Instant) -> BudgetState {
        let next = self.tickets;
        for bucket in self.buckets_mut() {
            bucket.settle(now, next);
        }
        BudgetState {
            buckets: self
                .buckets()
                .filter(|bucket| bucket.is_told())
                .map(|bucket| BucketState {
                    bucket: bucket.name,
                    limit: bucket.limit(),
                    remaining: bucket.spendable(Lane::Provisioning, self.in_flight, now),
                    remaining_for_sync: bucket.spendable(Lane::Sync, self.in_flight, now),
                    resets_at: bucket.resets_at(),
                })
                .collect(),
            sent: self.tickets,
            in_flight: self.in_flight,
            waiting: Lane::ALL.map(|lane| (lane, self.lanes.waiting(lane))),
        }
    }

    fn buckets(&self) -> impl Iterator<Item = &Bucket> {
        [&self.organization, &self.user].into_iter()
    }

    fn buckets_mut(&mut self) -> impl Iterator<Item = &mut Bucket> {
        [&mut self.organization, &mut self.user].into_iter()
    }
}
