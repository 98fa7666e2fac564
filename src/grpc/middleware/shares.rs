//! How many places of one kind each caller holds: none holds more than its share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The places that each caller holds.
#[derive(Debug)]
pub(crate) struct CallerShares {
    max_held: usize,
    /// Only callers that hold one are in it.
    held: Mutex<HashMap<Arc<str>, usize>>,
}

/// One of a caller's places, until it is dropped.
#[derive(Debug)]
pub(crate) struct SharePermit {
    caller: Arc<str>,
    shares: Arc<CallerShares>,
}

impl CallerShares {
    /// A caller may hold half of `places`, and at least one.
    pub(crate) fn half_of(places: usize) -> Arc<Self> {
        Arc::new(Self {
            max_held: (places / 2).max(1),
            held: Mutex::default(),
        })
    }

    /// Takes one of `caller`'s places. `None` where it holds all that it may.
    pub(crate) fn acquire(self: &Arc<Self>, caller: &Arc<str>) -> Option<SharePermit> {
        let mut held = self.lock();
        let count = held.entry(Arc::clone(caller)).or_default();
        if *count >= self.max_held {
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
