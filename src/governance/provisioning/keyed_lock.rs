//! Whose turn it is: calls about the same team and person run one at a time, in the order in which they came; others at once.
//!
//! Also remembered, for some seconds, is what we ourselves wrote to a pair, and only in order to read again: Buildkite may
//! show a write late, and a read that does not show it yet is not somebody else's change.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as Turnstile, OwnedMutexGuard};
use tokio::time::{Instant, timeout_at};

use crate::providers::buildkite::{Role, TeamId, UserId};

/// A person and a team.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pair {
    /// The team.
    pub team: TeamId,
    /// The person.
    pub user: UserId,
}

/// What we wrote last, and until when that explains a read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OwnWrite {
    pub(crate) left: Option<Role>,
    pub(crate) until: Instant,
}

/// The turns of all pairs.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    queues: Mutex<HashMap<Pair, Arc<Turnstile<()>>>>,
    written: Mutex<HashMap<Pair, OwnWrite>>,
}

/// The right to look at a pair and change it; the next in line has it when this is dropped.
pub(crate) type Turn = OwnedMutexGuard<()>;

impl Turns {
    /// Waits for the pair's turn; none where the deadline passes first.
    pub(crate) async fn take(&self, pair: Pair, deadline: Option<Instant>) -> Option<Turn> {
        let queue = {
            let mut queues = lock(&self.queues);
            queues.retain(|_, queue| Arc::strong_count(queue) > 1);
            Arc::clone(queues.entry(pair).or_default())
        };
        let turn = queue.lock_owned();
        match deadline {
            Some(deadline) => timeout_at(deadline, turn).await.ok(),
            None => Some(turn.await),
        }
    }

    /// Remembers what a write of ours left.
    pub(crate) fn wrote(&self, pair: Pair, left: Option<Role>, explains: Duration) {
        let now = Instant::now();
        let mut written = lock(&self.written);
        written.retain(|_, write| write.until > now);
        written.insert(
            pair,
            OwnWrite {
                left,
                until: now + explains,
            },
        );
    }

    /// What we wrote to the pair, as long as that explains a read.
    pub(crate) fn recent(&self, pair: Pair) -> Option<OwnWrite> {
        lock(&self.written)
            .get(&pair)
            .copied()
            .filter(|write| write.until > Instant::now())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn pair(number: u128) -> Pair {
        Pair {
            team: Uuid::from_u128(number).into(),
            user: Uuid::from_u128(number).into(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_pair_is_one_at_a_time_and_others_do_not_wait() {
        let turns = Turns::default();
        let soon = || Some(Instant::now() + Duration::from_secs(1));
        let first = turns.take(pair(1), None).await.unwrap();
        assert!(turns.take(pair(2), soon()).await.is_some());
        assert!(turns.take(pair(1), soon()).await.is_none());
        drop(first);
        assert!(turns.take(pair(1), soon()).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn turns_are_taken_in_the_order_of_arrival() {
        let turns = Arc::new(Turns::default());
        let first = turns.take(pair(1), None).await;
        let order = Arc::new(Mutex::new(Vec::new()));
        let waiting: Vec<_> = (0..20)
            .map(|number| {
                let (turns, order) = (Arc::clone(&turns), Arc::clone(&order));
                tokio::spawn(async move {
                    let _turn = turns.take(pair(1), None).await;
                    lock(&order).push(number);
                })
            })
            .collect();
        tokio::task::yield_now().await;
        drop(first);
        for waiter in waiting {
            waiter.await.unwrap();
        }
        assert_eq!(*lock(&order), (0..20).collect::<Vec<_>>());
    }

    #[tokio::test(start_paused = true)]
    async fn an_own_write_is_remembered_for_ten_seconds() {
        let turns = Turns::default();
        let ten_seconds = Duration::from_secs(10);
        turns.wrote(pair(1), Some(Role::Member), ten_seconds);
        assert_eq!(turns.recent(pair(1)).unwrap().left, Some(Role::Member));
        assert!(turns.recent(pair(2)).is_none());
        tokio::time::advance(ten_seconds).await;
        assert!(turns.recent(pair(1)).is_none());
    }
}
