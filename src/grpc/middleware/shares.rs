//! Fair shares: limits how many permits of one kind each caller holds, and each connection.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The permits that each caller holds.
#[derive(Debug)]
pub(crate) struct CallerShares {
    max_held: usize,
    /// Holds only callers, or connections, with at least one permit.
    held: Mutex<HashMap<Arc<str>, usize>>,
}

/// One of a caller's permits, released on drop.
#[derive(Debug)]
pub(crate) struct SharePermit {
    caller: Arc<str>,
    shares: Arc<CallerShares>,
}

impl CallerShares {
    /// A caller may hold half of `permits`, and at least one.
    pub(crate) fn half_of(permits: usize) -> Arc<Self> {
        Arc::new(Self {
            max_held: (permits / 2).max(1),
            held: Mutex::default(),
        })
    }

    /// A connection may hold as many of `permits` as are free, so that some are left for every other connection however many are
    /// busy.
    pub(crate) fn of_connections(permits: usize) -> Arc<Self> {
        Arc::new(Self {
            max_held: permits,
            held: Mutex::default(),
        })
    }

    /// Acquires one of `caller`'s permits. `None` if it holds its full share.
    pub(crate) fn acquire(self: &Arc<Self>, caller: &Arc<str>) -> Option<SharePermit> {
        self.acquire_within(caller, self.max_held)
    }

    /// The same for a share of at most `max_held`, and at least one.
    pub(crate) fn acquire_within(self: &Arc<Self>, caller: &Arc<str>, max_held: usize) -> Option<SharePermit> {
        let mut held = self.lock();
        let count = held.entry(Arc::clone(caller)).or_default();
        if *count >= self.max_held.min(max_held).max(1) {
            return None;
        }
        *count += 1;
        Some(SharePermit {
            caller: Arc::clone(caller),
            shares: Arc::clone(self),
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, usize>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for SharePermit {
    fn drop(&mut self) {
        let mut held = self.shares.lock();
        if let Some(count) = held.get_mut(&self.caller) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.caller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_caller_holds_more_than_half_and_what_is_given_back_is_not_remembered() {
        let shares = CallerShares::half_of(5);
        let (one, other): (Arc<str>, Arc<str>) = ("one".into(), "other".into());
        let first = shares.acquire(&one).unwrap();
        let second = shares.acquire(&one).unwrap();
        assert!(shares.acquire(&one).is_none());
        let others = shares.acquire(&other).unwrap();
        drop(first);
        let third = shares.acquire(&one).unwrap();
        drop((second, third, others));
        assert!(shares.lock().is_empty());
    }
}
