//! Who waits, and who is next.
//!
//! Grants and revokes pass first, then single reads, then syncs; within a lane it is first come, first served. A lane
//! that was passed over ten times is next once, if it may go at all: nobody starves, and nobody gets the reserve by it.

use std::collections::VecDeque;

use tokio::time::Instant;

use crate::providers::buildkite::call::Lane;

/// After so many others, a waiting lane has its turn.
const PASSES: u32 = 10;

/// One who waits.
#[derive(Debug)]
pub(crate) struct Waiter {
    pub(crate) number: u64,
    /// Until when.
    pub(crate) until: Instant,
    /// Whether a rate limit made it wait, rather than a crowd.
    pub(crate) limited: bool,
}

#[derive(Debug, Default)]
struct Row {
    waiters: VecDeque<Waiter>,
    passed: u32,
}

/// The three lanes.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    provisioning: Row,
    interactive: Row,
    sync: Row,
}

impl Lanes {
    fn row(&self, lane: Lane) -> &Row {
        match lane {
            Lane::Provisioning => &self.provisioning,
            Lane::Interactive => &self.interactive,
            Lane::Sync => &self.sync,
        }
    }

    fn row_mut(&mut self, lane: Lane) -> &mut Row {
        match lane {
            Lane::Provisioning => &mut self.provisioning,
            Lane::Interactive => &mut self.interactive,
            Lane::Sync => &mut self.sync,
        }
    }

    pub(crate) fn join(&mut self, lane: Lane, waiter: Waiter) {
        self.row_mut(lane).waiters.push_back(waiter);
    }

    pub(crate) fn leave(&mut self, number: u64) -> Option<Waiter> {
        Lane::ALL.into_iter().find_map(|lane| {
            let waiters = &mut self.row_mut(lane).waiters;
            let place = waiters.iter().position(|waiter| waiter.number == number)?;
            waiters.remove(place)
        })
    }

    pub(crate) fn waiting(&self, lane: Lane) -> usize {
        self.row(lane).waiters.len()
    }

    /// Everybody, in the order of their turns.
    pub(crate) fn all(&self) -> impl Iterator<Item = (Lane, &Waiter)> {
        let of = |lane| self.row(lane).waiters.iter().map(move |waiter| (lane, waiter));
        Lane::ALL.into_iter().flat_map(of)
    }

    pub(crate) fn all_mut(&mut self) -> impl Iterator<Item = (Lane, &mut Waiter)> {
        let Self {
            provisioning,
            interactive,
            sync,
        } = self;
        let of = |lane, row| Row::iter_mut(row).map(move |waiter| (lane, waiter));
        of(Lane::Provisioning, provisioning)
            .chain(of(Lane::Interactive, interactive))
            .chain(of(Lane::Sync, sync))
    }

    /// The lane whose first waiter is next, of those that may go.
    pub(crate) fn next(&self, may_go: impl Fn(Lane) -> bool) -> Option<Lane> {
        let waits = |lane: &Lane| !self.row(*lane).waiters.is_empty() && may_go(*lane);
        let overdue = |lane: &Lane| self.row(*lane).passed >= PASSES && waits(lane);
        let overdue = Lane::ALL.into_iter().rev().find(overdue);
        overdue.or_else(|| Lane::ALL.into_iter().find(waits))
    }

    /// Takes the first waiter of a lane; the lanes behind it were passed over.
    pub(crate) fn take(&mut self, lane: Lane) -> Option<Waiter> {
        let row = self.row_mut(lane);
        row.passed = 0;
        let taken = row.waiters.pop_front()?;
        for behind in Lane::ALL.into_iter().filter(|behind| *behind > lane) {
            let row = self.row_mut(behind);
            if !row.waiters.is_empty() {
                row.passed = row.passed.saturating_add(1);
            }
        }
        Some(taken)
    }
}

impl Row {
    fn iter_mut(row: &mut Self) -> impl Iterator<Item = &mut Waiter> {
        row.waiters.iter_mut()
    }
}
