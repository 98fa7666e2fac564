//! Writes that reads do not show yet. For each of them, this keeps the row from before the write.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;
use uuid::Uuid;

use super::behaviors::WriteLag;
use super::organization::{Membership, Team};

#[derive(Debug)]
struct StaleRow {
    before: Option<Membership>,
    lag: WriteLag,
    written: Instant,
}

impl StaleRow {
    /// Whether a read still returns the old row. Counts the read.
    fn is_stale(&mut self) -> bool {
        match &mut self.lag {
            WriteLag::None | WriteLag::Reads(0) => false,
            WriteLag::Reads(left) => {
                *left -= 1;
                true
            }
            WriteLag::For(time) => self.written.elapsed() < *time,
        }
    }
}

/// The writes that are still hidden, by team and user.
#[derive(Debug, Default)]
pub(super) struct StaleReads {
    by_team: Mutex<HashMap<Uuid, HashMap<Uuid, StaleRow>>>,
}

impl StaleReads {
    /// Records a write. After several writes within the lag, reads return the row from before the first.
    pub(super) fn record(&self, team: Uuid, user: Uuid, before: Option<Membership>, lag: WriteLag) {
        if lag == WriteLag::None {
            return;
        }
        let mut by_team = self.lock();
        let stale = by_team.entry(team).or_default().entry(user).or_insert(StaleRow {
            before,
            lag,
            written: Instant::now(),
        });
        stale.lag = lag;
        stale.written = Instant::now();
    }

    /// One user's row as a read returns it.
    pub(super) fn member(&self, team: &Team, user: Uuid) -> Option<Membership> {
        let mut by_team = self.lock();
        if let Some(stale_rows) = by_team.get_mut(&team.id)
            && let Some(stale) = stale_rows.get_mut(&user)
        {
            if stale.is_stale() {
                return stale.before;
            }
            stale_rows.remove(&user);
        }
        team.member(user).copied()
    }

    /// The whole list as a read returns it; `None` if it equals the current list.
    pub(super) fn members(&self, team: &Team) -> Option<Vec<Membership>> {
        let mut by_team = self.lock();
        let stale_rows = by_team.get_mut(&team.id)?;
        stale_rows.retain(|_, stale| stale.is_stale());
        if stale_rows.is_empty() {
            return None;
        }
        let mut rows: Vec<Membership> = Vec::with_capacity(team.members().len());
        for row in team.members() {
            match stale_rows.get(&row.user) {
                Some(stale) => rows.extend(stale.before),
                None => rows.push(*row),
            }
        }
        rows.extend(
            stale_rows
                .values()
                .filter_map(|stale| stale.before)
                .filter(|row| team.member(row.user).is_none()),
        );
        // Sorting puts removed members back at their place by age.
        rows.sort_by_key(|row| row.created_at);
        Some(rows)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, HashMap<Uuid, StaleRow>>> {
        self.by_team.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
