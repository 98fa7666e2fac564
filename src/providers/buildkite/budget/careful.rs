//! How a window is entered: with a few requests, until an answer tells what is left of it.
//!
//! What a window holds is known only once it has answered: another consumer may have been there first, or the end of the
//! last one was told wrong. So the first requests go ahead of the others; where somebody else was seen, or a refusal
//! closed the bucket, it is a single one. It costs a round trip a window, in which nothing is lost.

use super::ticket::Ticket;
use crate::providers::buildkite::call::Lane;

/// Requests that go ahead where nothing speaks against it.
const FEW: u32 = 4;

/// Whether the window has told of itself, and who is on the way to find out.
#[derive(Debug)]
pub(crate) struct Careful {
    /// How many may be on the way; none where the window has told.
    most: Option<u32>,
    /// The number of the first request since.
    from: u64,
    on_the_way: u32,
}

impl Careful {
    /// A few, of the requests from number `from` on.
    pub(crate) fn few(from: u64) -> Self {
        Self {
            most: Some(FEW),
            from,
            on_the_way: 0,
        }
    }

    /// Begins anew with the requests from number `from` on.
    pub(crate) fn restart(&mut self, from: u64, others: bool) {
        *self = Self {
            most: Some(if others { 1 } else { FEW }),
            from,
            on_the_way: 0,
        };
    }

    /// The number of the first request since it began.
    pub(crate) fn from(&self) -> u64 {
        self.from
    }

    /// A grant need not wait for a sync's scout that may be lost: it is one of its own.
    pub(crate) fn admits(&self, lane: Lane) -> bool {
        let own = u32::from(lane == Lane::Provisioning);
        self.most.is_none_or(|most| self.on_the_way < most + own)
    }

    pub(crate) fn sent(&mut self) {
        self.on_the_way = self.on_the_way.saturating_add(1);
    }

    pub(crate) fn done(&mut self, ticket: &Ticket) {
        if ticket.number >= self.from {
            self.on_the_way = self.on_the_way.saturating_sub(1);
        }
    }

    /// An answer said nothing, as all others so far: more and more may be on the way, since there may be no limit.
    pub(crate) fn relax(&mut self) {
        self.most = self.most.and_then(|most| most.checked_add(1));
    }

    /// The answer to this request told of the window; of an earlier request only if the window is `new` by it.
    pub(crate) fn learned(&mut self, ticket: &Ticket, new: bool) {
        if new || ticket.number >= self.from {
            self.most = None;
        }
    }
}
