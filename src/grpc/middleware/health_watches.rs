//! The limit of `grpc.health.v1.Health/Watch`: a new watch supersedes the oldest unauthenticated one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// The open watches.
#[derive(Debug)]
pub(crate) struct HealthWatches {
    max_watches: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    next_id: u64,
    /// Unauthenticated watches in the order in which they were opened, each with the token that ends it.
    unauthenticated: BTreeMap<u64, CancellationToken>,
    callers: usize,
}

/// A permit for a watch, released on drop.
#[derive(Debug)]
pub(crate) struct WatchPermit {
    /// `None` for a caller's watch.
    id: Option<u64>,
    watches: Arc<HealthWatches>,
}

impl HealthWatches {
    pub(crate) fn new(max_watches: usize) -> Arc<Self> {
        Arc::new(Self {
            max_watches,
            open: Mutex::default(),
        })
    }

    /// Acquires a permit; at the limit, ends the oldest unauthenticated watch. `None` if all watches are callers'.
    /// `superseded` ends an unauthenticated watch; a caller's watch has none.
    pub(crate) fn acquire(self: &Arc<Self>, superseded: Option<CancellationToken>) -> Option<WatchPermit> {
        let mut open = self.lock();
        if open.callers + open.unauthenticated.len() >= self.max_watches {
            let (_, oldest) = open.unauthenticated.pop_first()?;
            oldest.cancel();
        }
        let id = if let Some(superseded) = superseded {
            let id = open.next_id;
            open.next_id += 1;
            open.unauthenticated.insert(id, superseded);
            Some(id)
        } else {
            open.callers += 1;
            None
        };
        Some(WatchPermit {
            id,
            watches: Arc::clone(self),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for WatchPermit {
    fn drop(&mut self) {
        let mut open = self.watches.lock();
        match self.id {
            Some(id) => drop(open.unauthenticated.remove(&id)),
            None => open.callers -= 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_above_the_limit_ends_the_oldest_unauthenticated_one_and_never_a_callers() {
        let watches = HealthWatches::new(2);
        let [first, second, third] = std::array::from_fn(|_| CancellationToken::new());
        let caller = watches.acquire(None).unwrap();
        let old = watches.acquire(Some(first.clone())).unwrap();
        let new = watches.acquire(Some(second.clone())).unwrap();
        assert!(first.is_cancelled() && !second.is_cancelled());
        // The place went to the new watch when the old one was ended.
        drop(old);
        let other = watches.acquire(None).unwrap();
        assert!(second.is_cancelled());
        drop(new);
        assert!(watches.acquire(Some(third.clone())).is_none());
        assert!(watches.acquire(None).is_none());
        drop((caller, other));
        let _only = watches.acquire(Some(third.clone())).unwrap();
        assert!(!third.is_cancelled());
    }
}
