//! One window of one bucket, as the answers that were counted in it tell of it.
//!
//! Answers overtake each other, also across the moment at which a window ends. Which window an answer is about is
//! decided here, and it is the decision that everything else rests on: see [`Window::place`].

use tokio::time::Instant;

use super::ends::{Ends, Order};

/// What an answer says, read and bounded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told {
    /// When the request left.
    pub(crate) sent: Instant,
    /// When the answer was there.
    pub(crate) received: Instant,
    /// The end of its window, where it says so.
    pub(crate) ends: Option<Ends>,
    /// What was left, where it says so; never more than the limit.
    pub(crate) remaining: Option<u32>,
}

impl Told {
    /// Whether it tells both its window and how far that is used up. One that does not is charged by the bucket: it may
    /// have been counted after the answer that told the least.
    pub(crate) fn is_complete(&self) -> bool {
        self.ends.is_some() && self.remaining.is_some()
    }
}

/// Where an answer belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The request was counted in this window.
    Here,
    /// It was counted in this window, of which it tells another end: the later of the two is believed.
    Disputed,
    /// It was counted in a later window: this one is over.
    Next,
    /// It was counted in an earlier window, which is over: the answer was slow.
    Before,
}

/// A window that at least one answer told of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    pub(crate) ends: Ends,
    /// Whether an answer told its end. One that did not bounds it all the same, but shows no two answers to be of one
    /// window, so it narrows nothing.
    pub(crate) is_told: bool,
    /// When its first answer was there: it had begun by then.
    since: Instant,
    /// Our requests that were certainly counted in it, and whose answers were complete.
    pub(crate) counted: u32,
    /// The least that one of its answers said was left.
    pub(crate) left: Option<u32>,
    /// When the latest of its answers was there.
    latest: Instant,
}

impl Window {
    /// The window of an answer that belongs to no known one.
    pub(crate) fn begin(told: &Told) -> Self {
        let mut window = Self {
            ends: told.ends.unwrap_or_else(|| Ends::untold(told.sent, told.received)),
            is_told: told.ends.is_some(),
            since: told.received,
            counted: u32::from(told.is_complete()),
            left: None,
            latest: told.received,
        };
        window.note(told);
        window
    }

    /// Which window the answer, which ends at `ends`, is about.
    ///
    /// Ends that cannot be the same are of two windows, and windows follow each other: so the later of two has begun
    /// only when the earlier is over. An answer that would break that (a later window before this one can be over, or an
    /// earlier one for a request sent when this one had begun) shows that one of them was told wrong.
    ///
    /// Within a window what is left only falls. An answer with no less left than those that were there before its request
    /// was sent is therefore of a later window, however alike the ends look: that tells short windows apart. Where it
    /// errs, nothing is lost: what that very answer says is left has all of them in it.
    pub(crate) fn place(&self, ends: Ends, told: &Told) -> Place {
        match ends.order(self.ends) {
            Order::Earlier if told.sent < self.since => Place::Before,
            Order::Later if told.received >= self.ends.after => Place::Next,
            Order::Earlier | Order::Later => Place::Disputed,
            Order::Same if self.is_refilled(told) => Place::Next,
            Order::Same => Place::Here,
        }
    }

    fn is_refilled(&self, told: &Told) -> bool {
        match (self.left, told.remaining) {
            // A counter that stops at zero says nothing when it says zero again.
            (Some(left), Some(now)) => now > 0 && now >= left && told.sent >= self.latest,
            _ => false,
        }
    }

    /// Counts a request that was [`Place::Here`].
    pub(crate) fn count(&mut self, ends: Ends, told: &Told) {
        self.ends = if self.is_told { self.ends.and(ends) } else { ends };
        self.is_told = true;
        self.count_in(told);
    }

    /// Counts a request whose answer [`Place::Disputed`] the end.
    pub(crate) fn count_disputed(&mut self, ends: Ends, told: &Told) {
        if ends.by > self.ends.by {
            self.ends = ends;
            self.is_told = true;
        }
        self.count_in(told);
    }

    fn count_in(&mut self, told: &Told) {
        self.counted += u32::from(told.is_complete());
        self.latest = told.received;
        self.note(told);
    }

    /// Remembers what was left, where it is the least so far.
    pub(crate) fn note(&mut self, told: &Told) {
        self.left = match (self.left, told.remaining) {
            (Some(left), Some(now)) => Some(left.min(now)),
            (left, now) => left.or(now),
        };
    }
}
