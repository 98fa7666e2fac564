//! Serialises requests about the same membership, in arrival order. Requests about different memberships run concurrently.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};
use tokio::time::{Instant, timeout_at};

use crate::governance::model::Membership;

/// One fair lock per membership.
#[derive(Debug, Default)]
pub(crate) struct KeyedLock {
    locks: Mutex<HashMap<Membership, Arc<AsyncMutex<()>>>>,
}

/// Exclusive access to a membership; dropping it admits the next request.
pub(crate) type MembershipGuard = OwnedMutexGuard<()>;

impl KeyedLock {
    /// Waits for exclusive access to the membership. Returns `None` if the deadline passes first.
    pub(crate) async fn acquire(&self, membership: Membership, deadline: Option<Instant>) -> Option<MembershipGuard> {
        let lock = {
            let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
            locks.retain(|_, lock| Arc::strong_count(lock) > 1);
            Arc::clone(locks.entry(membership).or_default())
        };
        let guard = lock.lock_owned();
        match deadline {
            Some(deadline) => timeout_at(deadline, guard).await.ok(),
            None => Some(guard.await),
        }
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
