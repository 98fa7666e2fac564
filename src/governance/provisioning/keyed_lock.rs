//! Serialises requests about the same subject, in arrival order. Requests about different subjects run concurrently.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};
use tokio::time::{Instant, timeout_at};

use crate::governance::{CallContext, GovernanceError};

/// One fair lock per key.
#[derive(Debug)]
pub(crate) struct KeyedLock<K> {
    locks: Mutex<HashMap<K, Arc<AsyncMutex<()>>>>,
}

impl<K> Default for KeyedLock<K> {
    fn default() -> Self {
        Self {
            locks: Mutex::default(),
        }
    }
}

/// Exclusive access to the subject of a key; dropping it admits the next request.
pub(crate) type KeyGuard = OwnedMutexGuard<()>;

impl<K: Eq + Hash> KeyedLock<K> {
    /// Waits for exclusive access. Returns `None` if the deadline passes first.
    pub(crate) async fn acquire(&self, key: K, deadline: Option<Instant>) -> Option<KeyGuard> {
        let lock = {
            let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
            locks.retain(|_, lock| Arc::strong_count(lock) > 1);
            Arc::clone(locks.entry(key).or_default())
        };
        let guard = lock.lock_owned();
        match deadline {
            Some(deadline) => timeout_at(deadline, guard).await.ok(),
            None => Some(guard.await),
        }
    }
}

/// Exclusive access to the state by which a guard permits a write. The operation keeps it until the result of the write is known, so
/// that two writes, each of which leaves enough only without the other, are not both permitted.
///
/// It is acquired after the lock of the membership, at most one by an operation, and nothing else is locked while it is held, so no
/// two operations can wait for each other.
#[derive(Debug, Default)]
pub struct GuardLock(Option<KeyGuard>);

impl GuardLock {
    /// Waits for exclusive access to the state of `key`; returns at once if the operation has it already.
    ///
    /// # Errors
    /// `Abandoned` if the call is cancelled first, `DeadlineExceeded` if its deadline passes first.
    pub(crate) async fn acquire<K: Eq + Hash>(
        &mut self,
        locks: &KeyedLock<K>,
        key: K,
        call: &CallContext,
    ) -> Result<(), GovernanceError> {
        if self.0.is_none() {
            let acquired = tokio::select! {
                biased;
                () = call.cancelled() => return Err(GovernanceError::Abandoned),
                acquired = locks.acquire(key, call.deadline()) => acquired,
            };
            self.0 = Some(acquired.ok_or(GovernanceError::DeadlineExceeded)?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::governance::model::examples::membership;

    #[tokio::test(start_paused = true)]
    async fn a_membership_is_locked_by_one_request_and_others_do_not_wait() {
        let locks = KeyedLock::default();
        let soon = || Some(Instant::now() + Duration::from_secs(1));
        let first = locks.acquire(membership(1), None).await.unwrap();
        assert!(locks.acquire(membership(2), soon()).await.is_some());
        assert!(locks.acquire(membership(1), soon()).await.is_none());
        drop(first);
        assert!(locks.acquire(membership(1), soon()).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_membership_is_locked_in_the_order_of_arrival() {
        let locks = Arc::new(KeyedLock::default());
        let first = locks.acquire(membership(1), None).await;
        let order = Arc::new(Mutex::new(Vec::new()));
        let waiting: Vec<_> = (0..20)
            .map(|number| {
                let (locks, order) = (Arc::clone(&locks), Arc::clone(&order));
                tokio::spawn(async move {
                    let _guard = locks.acquire(membership(1), None).await;
                    order.lock().unwrap().push(number);
                })
            })
            .collect();
        tokio::task::yield_now().await;
        drop(first);
        for waiter in waiting {
            waiter.await.unwrap();
        }
        assert_eq!(*order.lock().unwrap(), (0..20).collect::<Vec<_>>());
    }
}
