//! Remembers the recent writes of this process. Buildkite may show a write late, so a read that does not show it yet is repeated
//! before it counts as a concurrent change. No other decision depends on this.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::governance::model::{Level, Membership};

/// The latest write to a membership, and how long a read that differs may be stale.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OwnWrite {
    pub(crate) resulting_level: Option<&'static Level>,
    pub(crate) valid_until: Instant,
}

/// The latest write to each membership.
#[derive(Debug, Default)]
pub(crate) struct RecentWrites {
    writes: Mutex<HashMap<Membership, OwnWrite>>,
}

impl RecentWrites {
    /// Remembers the level that a write results in, for `valid_for`.
    pub(crate) fn record(&self, membership: Membership, resulting_level: Option<&'static Level>, valid_for: Duration) {
        let now = Instant::now();
        let mut writes = self.lock();
        writes.retain(|_, write| write.valid_until > now);
        writes.insert(
            membership,
            OwnWrite {
                resulting_level,
                valid_until: now + valid_for,
            },
        );
    }

    /// The latest write to the membership, while a read may not show it yet.
    pub(crate) fn get(&self, membership: Membership) -> Option<OwnWrite> {
        let write = self.lock().get(&membership).copied();
        write.filter(|write| write.valid_until > Instant::now())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Membership, OwnWrite>> {
        self.writes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::governance::model::examples::{MEMBER, membership};

    #[tokio::test(start_paused = true)]
    async fn an_own_write_is_remembered_for_ten_seconds() {
        let writes = RecentWrites::default();
        let ten_seconds = Duration::from_secs(10);
        writes.record(membership(1), Some(MEMBER), ten_seconds);
        assert_eq!(writes.get(membership(1)).unwrap().resulting_level, Some(MEMBER));
        assert!(writes.get(membership(2)).is_none());
        tokio::time::advance(ten_seconds).await;
        assert!(writes.get(membership(1)).is_none());
    }
}
