//! One of Buildkite's two counters, and why it is never overdrawn.
//!
//! Windows are fixed, and nobody tells where they lie. So the bucket does not try to know which window it is; it keeps
//! every request of ours **charged** for as long as the window that it was counted in may still be running:
//!
//! - a request in flight is charged, for it may be counted at any moment;
//! - an answered one is charged to the window that its answer tells of, until that window is *surely* over: at the
//!   latest moment that all its answers leave for its end, or when an answer comes that can only be of a later window;
//! - one without an answer, or with one that says too little, was counted at a moment up to now if at all. No
//!   window is longer than a minute, so it is charged for a minute, or until a window is over that certainly held it.
//!
//! When the last request of some window is sent, all that were counted in that window before are still charged. As
//! charges never exceed the limit, neither does the window: alone, no request is refused, whatever the alignment.
//!
//! Others spend too, and only the answers know. The least that an answer of this window said was left, less what of ours
//! may have been counted since, is the second bound; it alone holds when ends are told wrong, since it needs none. Ours
//! that were counted before that answer and are not yet answered are subtracted twice, for one round trip. What was
//! done with before the request of such an answer left is part of what it tells, and needs no charge of its own.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::careful::Careful;
use super::ends::Ends;
use super::headers::{Bucket as Name, Reading, WINDOW};
use super::length::{Length, Outlook};
use super::options::BudgetOptions;
use super::ticket::Ticket;
use super::window::{Place, Told, Window};
use crate::providers::buildkite::call::Lane;

/// Servers need not agree on the time to the millisecond: a window is used a little after it must have begun.
const MARGIN: Duration = Duration::from_millis(100);

/// How long before the likely end of a window the reserve is released to syncs.
const RELEASE: Duration = Duration::from_secs(2);

/// No organization's limit is near this; a larger one is a mistake somewhere.
const LARGEST_LIMIT: i64 = 1_000_000;

/// After so many refusals in a row, the wait is a whole window.
const LONGEST_ROW: u32 = 7;

/// Of a bucket that no answer told of, the latest requests are enough: those that are under way when one does.
const REMEMBERED: usize = 64;

/// One rate limit as its headers tell of it.
#[derive(Debug)]
pub(crate) struct Bucket {
    pub(crate) name: Name,
    options: BudgetOptions,
    /// Whether an answer ever told of it: otherwise it is not enforced.
    told: bool,
    limit: Option<u32>,
    window: Option<Window>,
    /// Whether the window is over, and no answer has told of the next.
    over: bool,
    /// When requests without a known window were done with, oldest first.
    unplaced: VecDeque<Instant>,
    /// Grants and revokes sent since the window began: what is spent of the reserve.
    granted: u32,
    others: Others,
    /// Whether this window's reserve was released to syncs.
    released: bool,
    /// When the bucket opens that a refusal closed.
    closed_until: Option<Instant>,
    /// Refusals in a row.
    refusals: u32,
    careful: Careful,
    /// How long a window is, for forecasts only.
    length: Length,
}

/// Whether others were seen to spend.
#[derive(Debug, Default)]
struct Others {
    /// In this window.
    now: bool,
    /// In the one before it.
    before: bool,
}

impl Bucket {
    pub(crate) fn new(name: Name, options: BudgetOptions) -> Self {
        Self {
            name,
            options,
            told: false,
            limit: None,
            window: None,
            over: true,
            unplaced: VecDeque::new(),
            granted: 0,
            others: Others::default(),
            released: false,
            closed_until: None,
            refusals: 0,
            careful: Careful::few(0),
            length: Length::default(),
        }
    }

    /// Lets time pass: what must be over by now is over. `next` is the number of the next request to be sent.
    pub(crate) fn settle(&mut self, now: Instant, next: u64) {
        if self.closed_until.is_some_and(|until| now >= until) {
            self.closed_until = None;
        }
        while self.freed_at().is_some_and(|at| now >= at) {
            self.unplaced.pop_front();
        }
        if self.over_at().is_some_and(|over_at| now >= over_at) {
            self.finish(now, next);
        }
        if !self.released && self.release_at().is_some_and(|at| now >= at) {
            self.release(next);
        }
    }

    /// Syncs may have what is left of the reserve. Nothing was told of it since they spent theirs, most of a window ago: where
    /// others are about, a single request finds out whether it is still there.
    fn release(&mut self, next: u64) {
        self.released = true;
        if self.others.now || self.others.before {
            self.careful.restart(next, true);
        }
    }

    /// Ends the window, which was over at `by`: what was counted in it, or certainly no later, is charged no longer.
    fn finish(&mut self, by: Instant, next: u64) {
        if let Some(window) = &self.window {
            let ended_after = window.ends.after.min(by);
            self.unplaced.retain(|done| *done > ended_after);
        }
        self.over = true;
        self.granted = 0;
        self.released = false;
        self.others = Others {
            now: false,
            before: self.others.now,
        };
        self.careful.restart(next, self.others.before);
    }

    /// The earliest moment at which the running window is certainly over.
    fn over_at(&self) -> Option<Instant> {
        self.running().map(|window| window.ends.by + MARGIN)
    }

    fn running(&self) -> Option<&Window> {
        self.window.as_ref().filter(|_| !self.over)
    }

    /// Whether a request of this lane may leave now, with so many in flight already.
    pub(crate) fn admits(&self, lane: Lane, in_flight: u32, now: Instant) -> bool {
        self.closed_until.is_none() && self.careful.admits(lane) && self.spendable(lane, in_flight, now) > 0
    }

    /// How many more requests of this lane the window has room for.
    pub(crate) fn spendable(&self, lane: Lane, in_flight: u32, now: Instant) -> u32 {
        if self.closed_until.is_some() {
            return 0;
        }
        self.room(in_flight).saturating_sub(self.kept_from(lane, now))
    }

    fn room(&self, in_flight: u32) -> u32 {
        if !self.told {
            return u32::MAX;
        }
        let window = self.running();
        let counted = window.map_or(0, |window| window.counted);
        let own = self.limit.map_or(u32::MAX, |limit| limit.saturating_sub(counted));
        let left = window.and_then(|window| window.left).unwrap_or(u32::MAX);
        own.min(left)
            .saturating_sub(in_flight)
            .saturating_sub(count(self.unplaced.len()))
    }

    /// What of the reserve is unspent and not yet released.
    fn kept_from(&self, lane: Lane, now: Instant) -> u32 {
        if lane != Lane::Sync || self.release_at().is_some_and(|at| now >= at) {
            return 0;
        }
        self.reserve().saturating_sub(self.granted)
    }

    fn reserve(&self) -> u32 {
        self.limit.map_or(0, |limit| self.options.reserve_of(limit))
    }

    fn release_at(&self) -> Option<Instant> {
        self.running()?.ends.likely().checked_sub(RELEASE)
    }

    /// When a request of this lane, with `ahead` others before it, is likely to have its turn.
    pub(crate) fn forecast(&self, lane: Lane, ahead: u32, in_flight: u32, now: Instant, outlook: Outlook) -> Instant {
        let opens = self.closed_until.unwrap_or(now);
        let room = self.room(in_flight);
        if ahead < room.saturating_sub(self.kept_from(lane, now)) {
            return opens;
        }
        let Some(short) = ahead.checked_sub(room) else {
            return self.release_at().map_or(opens, |at| at.max(opens));
        };
        let next = self.closed_until.max(self.over_at()).or(self.freed_at()).unwrap_or(now);
        let Some(limit) = self.limit else { return next };
        let length = self.length.at(outlook);
        let begins = next + length * (short / limit);
        if lane == Lane::Sync && short % limit >= limit.saturating_sub(self.reserve()) {
            // In that window, what is left of the reserve comes last.
            return begins + length.saturating_sub(RELEASE);
        }
        begins
    }

    /// When the oldest of the requests without a known window is charged no longer.
    fn freed_at(&self) -> Option<Instant> {
        self.unplaced.front().map(|done| *done + WINDOW + MARGIN)
    }

    /// The next moment after `now` at which time alone changes what may be sent.
    pub(crate) fn changes_at(&self, now: Instant) -> Option<Instant> {
        [self.closed_until, self.over_at(), self.release_at(), self.freed_at()]
            .into_iter()
            .flatten()
            .filter(|at| *at > now)
            .min()
    }

    pub(crate) fn sent(&mut self, ticket: &Ticket) {
        self.careful.sent();
        if ticket.lane == Lane::Provisioning {
            self.granted = self.granted.saturating_add(1);
        }
    }

    /// Takes in what an answer says of this bucket; `in_flight` are those that are still under way.
    pub(crate) fn answered(&mut self, ticket: &Ticket, reading: Reading, in_flight: u32, now: Instant, next: u64) {
        self.told = true;
        if let Some(limit) = reading.limit.filter(|limit| (1..=LARGEST_LIMIT).contains(limit)) {
            self.limit = u32::try_from(limit).ok();
        }
        let told = Told {
            sent: ticket.sent,
            received: now,
            ends: Ends::told(ticket.sent, now, reading.reset),
            remaining: reading.remaining.and_then(|remaining| self.bounded(remaining)),
        };
        self.careful.done(ticket);
        if let Some(ends) = told.ends {
            self.length.holds(ends.after.saturating_duration_since(told.sent));
        }
        let Some(place) = self.take(&told, next) else { return };
        if told.is_complete() {
            // What was done with before this request left is part of what its window has spent, or of an earlier one.
            self.unplaced.retain(|done| *done > told.sent);
        } else {
            self.unplaced.push_back(now);
        }
        self.look_for_others(&told, in_flight);
        if told.remaining.is_some() {
            self.careful.learned(ticket, place == Place::Next);
        }
    }

    fn bounded(&self, remaining: i64) -> Option<u32> {
        let most = self.limit.map_or(LARGEST_LIMIT, i64::from);
        (remaining <= LARGEST_LIMIT).then(|| u32::try_from(remaining.clamp(0, most)).unwrap_or_default())
    }

    /// Charges an answered request to its window. None where that window is over: nothing of it is charged any more.
    fn take(&mut self, told: &Told, next: u64) -> Option<Place> {
        let Some(ends) = told.ends else {
            return Some(match &mut self.window {
                Some(window) if !self.over => {
                    window.note(told);
                    Place::Here
                }
                _ => {
                    self.begin(told);
                    Place::Next
                }
            });
        };
        let place = self
            .window
            .as_ref()
            .map_or(Place::Next, |window| window.place(ends, told));
        match (place, &mut self.window) {
            (Place::Next, _) | (_, None) => {
                if self.running().is_some() {
                    self.finish(told.sent, next);
                }
                self.begin(told);
            }
            (Place::Before, _) => return None,
            (Place::Here | Place::Disputed, _) if self.over => return None,
            (Place::Here, Some(window)) => window.count(ends, told),
            (Place::Disputed, Some(window)) => window.count_disputed(ends, told),
        }
        Some(place)
    }

    fn begin(&mut self, told: &Told) {
        let window = Window::begin(told);
        if let Some(last) = self
            .window
            .replace(window)
            .filter(|last| last.is_told && window.is_told)
        {
            self.length.follows(last.ends, window.ends);
        }
        self.over = false;
    }

    /// More is gone than we can have spent.
    fn look_for_others(&mut self, told: &Told, in_flight: u32) {
        let (Some(limit), Some(remaining), Some(window)) = (self.limit, told.remaining, self.running()) else {
            return;
        };
        let ours = window.counted + in_flight + count(self.unplaced.len());
        if limit.saturating_sub(remaining) > ours {
            self.others.now = true;
        }
    }

    /// The answer says nothing of this bucket, though it does of the other: this one does not count such requests.
    pub(crate) fn not_counted(&mut self, ticket: &Ticket) {
        self.withdrawn(ticket);
        if !self.told {
            self.careful.relax();
        }
    }

    /// There was no answer, or none that says anything: it may have been counted, up to now.
    pub(crate) fn unknown(&mut self, ticket: &Ticket, now: Instant) {
        self.careful.done(ticket);
        if !self.told && self.unplaced.len() >= REMEMBERED {
            self.unplaced.pop_front();
        }
        self.unplaced.push_back(now);
    }

    /// An answer without any such headers: Buildkite, or whoever it is, enforces no limit that we could keep.
    pub(crate) fn silent(&mut self, ticket: &Ticket, now: Instant) {
        self.unknown(ticket, now);
        if !self.told {
            self.careful.relax();
        }
    }

    /// The request never left, or was not counted here.
    pub(crate) fn withdrawn(&mut self, ticket: &Ticket) {
        self.careful.done(ticket);
        if ticket.lane == Lane::Provisioning {
            self.granted = self.granted.saturating_sub(1);
        }
    }

    /// A refusal closes the bucket for as long as it asks, and after that one request goes first. Where that one is
    /// refused as well, what was asked was too short: each time in a row at least twice as long, up to a window.
    pub(crate) fn close(&mut self, ticket: &Ticket, wait: Duration, now: Instant, next: u64) -> Instant {
        if ticket.number >= self.careful.from() || self.refusals == 0 {
            self.refusals = (self.refusals + 1).min(LONGEST_ROW);
        }
        let least = Duration::from_secs(1 << (self.refusals - 1)).min(WINDOW);
        let until = self.closed_until.max(Some(now + wait.max(least)));
        self.closed_until = until;
        self.others.now = true;
        self.careful.restart(next, true);
        until.unwrap_or(now)
    }

    /// A request passed.
    pub(crate) fn passed(&mut self) {
        self.refusals = 0;
    }

    pub(crate) fn limit(&self) -> Option<u32> {
        self.limit
    }

    /// When the window is over, or the bucket opens again, whichever is later; none where no answer told.
    pub(crate) fn resets_at(&self) -> Option<Instant> {
        self.closed_until.max(self.over_at())
    }

    pub(crate) fn is_told(&self) -> bool {
        self.told
    }
}

fn count(of: usize) -> u32 {
    u32::try_from(of).unwrap_or(u32::MAX)
}
