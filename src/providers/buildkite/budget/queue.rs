//! The priority queue of waiting requests.
//!
//! Grants and revokes go first, then single reads, then syncs; each lane is first in, first out. A lane that was
//! bypassed ten times is next once, if it may send at all. So no lane starves, and no lane gets the reserve by waiting.

use std::collections::VecDeque;

use tokio::time::Instant;

use super::routing::Route;
use crate::governance::Lane;

/// Requests of higher lanes after which a waiting lane is next once.
const MAX_BYPASSES: u32 = 10;

/// A request that waits for permission to be sent.
#[derive(Debug)]
pub(crate) struct Waiter {
    pub(crate) id: u64,
    /// Which credentials may serve it.
    pub(crate) route: Route,
    /// The moment at which it stops waiting.
    pub(crate) deadline: Instant,
    /// Whether it waited for a rate limit, rather than for the concurrency limit.
    pub(crate) throttled: bool,
}

#[derive(Debug, Default)]
struct LaneQueue {
    waiters: VecDeque<Waiter>,
    /// Requests of higher lanes that were granted since this lane was last served.
    bypassed: u32,
}

/// The waiters of all three lanes.
#[derive(Debug, Default)]
pub(crate) struct PriorityQueue {
    provisioning: LaneQueue,
    interactive: LaneQueue,
    sync: LaneQueue,
}

impl PriorityQueue {
    fn lane(&self, lane: Lane) -> &LaneQueue {
        match lane {
            Lane::Provisioning => &self.provisioning,
            Lane::Interactive => &self.interactive,
            Lane::Sync => &self.sync,
        }
    }

    fn lane_mut(&mut self, lane: Lane) -> &mut LaneQueue {
        match lane {
            Lane::Provisioning => &mut self.provisioning,
            Lane::Interactive => &mut self.interactive,
            Lane::Sync => &mut self.sync,
        }
    }

    pub(crate) fn enqueue(&mut self, lane: Lane, waiter: Waiter) {
        self.lane_mut(lane).waiters.push_back(waiter);
    }

    /// Removes a waiter; returns `None` if it is not in the queue.
    pub(crate) fn cancel(&mut self, id: u64) -> Option<Waiter> {
        Lane::ALL.into_iter().find_map(|lane| {
            let waiters = &mut self.lane_mut(lane).waiters;
            let index = waiters.iter().position(|waiter| waiter.id == id)?;
            waiters.remove(index)
        })
    }

    /// Whether none waits.
    pub(crate) fn is_empty(&self) -> bool {
        Lane::ALL.into_iter().all(|lane| self.lane(lane).waiters.is_empty())
    }

    /// How many wait in a lane.
    pub(crate) fn waiting(&self, lane: Lane) -> usize {
        self.lane(lane).waiters.len()
    }

    /// All waiters in order of priority.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Lane, &Waiter)> {
        let of = |lane| self.lane(lane).waiters.iter().map(move |waiter| (lane, waiter));
        Lane::ALL.into_iter().flat_map(of)
    }

    /// All waiters in order of priority, mutable.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (Lane, &mut Waiter)> {
        let Self {
            provisioning,
            interactive,
            sync,
        } = self;
        let of = |lane, queue| LaneQueue::iter_mut(queue).map(move |waiter| (lane, waiter));
        of(Lane::Provisioning, provisioning)
            .chain(of(Lane::Interactive, interactive))
            .chain(of(Lane::Sync, sync))
    }

    /// The waiter to serve next: the first of the lane with precedence for which `choose` returns what serves it.
    pub(crate) fn next<C: Copy>(&self, mut choose: impl FnMut(Lane, Route) -> Option<C>) -> Option<Next<C>> {
        let overdue = Lane::ALL
            .into_iter()
            .rev()
            .filter(|lane| self.lane(*lane).bypassed >= MAX_BYPASSES);
        let of = |lane: Lane, is_overdue| (lane, is_overdue);
        let lanes = overdue
            .map(|lane| of(lane, true))
            .chain(Lane::ALL.map(|lane| of(lane, false)));
        for (lane, is_overdue) in lanes {
            // Many wait for the same credentials, so each route is decided once.
            let mut decided: Vec<(Route, Option<C>)> = Vec::new();
            for waiter in &self.lane(lane).waiters {
                let known = decided.iter().find(|(route, _)| *route == waiter.route);
                let choice = known.map_or_else(|| choose(lane, waiter.route), |(_, choice)| *choice);
                if let Some(choice) = choice {
                    return Some(Next {
                        lane,
                        waiter: waiter.id,
                        is_overdue,
                        choice,
                    });
                }
                if known.is_none() {
                    decided.push((waiter.route, None));
                }
            }
        }
        None
    }

    /// Removes a waiter of a lane that is served, which bypasses the lower ones.
    pub(crate) fn dequeue(&mut self, lane: Lane, id: u64) -> Option<Waiter> {
        let queue = self.lane_mut(lane);
        queue.bypassed = 0;
        let index = queue.waiters.iter().position(|waiter| waiter.id == id)?;
        let waiter = queue.waiters.remove(index)?;
        self.bypass(lane);
        Some(waiter)
    }

    /// Counts each lower lane that waits as bypassed by a request of `lane`, which left this queue or one that shares a
    /// limit with it.
    pub(crate) fn bypass(&mut self, lane: Lane) {
        for lower in Lane::ALL.into_iter().filter(|lower| *lower > lane) {
            let queue = self.lane_mut(lower);
            if !queue.waiters.is_empty() {
                queue.bypassed = queue.bypassed.saturating_add(1);
            }
        }
    }
}

/// The waiter to serve next, and what serves it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Next<C> {
    pub(crate) lane: Lane,
    pub(crate) waiter: u64,
    /// Whether the lane was bypassed often enough to precede the others once.
    pub(crate) is_overdue: bool,
    pub(crate) choice: C,
}

impl LaneQueue {
    fn iter_mut(queue: &mut Self) -> impl Iterator<Item = &mut Waiter> {
        queue.waiters.iter_mut()
    }
}
