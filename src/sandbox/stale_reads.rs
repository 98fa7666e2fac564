//! Writes that reads do not show yet: for each of them, the row as it was before.

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
    /// Whether a read is still shown the row as it was. Counts the read.
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
    /// Notes that a row was written. Of several writes within the lag, reads go on showing what was before the first.
    pub(super) fn record(&self, team: Uuid, user: Uuid, before: Option<Membership>, lag: WriteLag) {
        if lag == WriteLag::None {
            return;
        }
        let mut stale_reads = self.lock();
        let stale = stale_reads.entry(team).or_default().entry(user).or_insert(StaleRow {
            before,
            lag,
            written: Instant::now(),
        });
        stale.lag = lag;
        stale.written = Instant::now();
    }

    /// One person's row as a read shows it.
    pub(super) fn member(&self, team: &Team, user: Uuid) -> Option<Membership> {
        let mut stale_reads = self.lock();
        if let Some(of_team) = stale_reads.get_mut(&team.id)
            && let Some(stale) = of_team.get_mut(&user)
        {
            if stale.is_stale() {
                return stale.before;
            }
            of_team.remove(&user);
        }
        team.member(user).copied()
    }

    /// The whole list as a read shows it; none when that is the list itself.
    pub(super) fn members(&self, team: &Team) -> Option<Vec<Membership>> {
        let mut stale_reads = self.lock();
        let of_team = stale_reads.get_mut(&team.id)?;
        of_team.retain(|_, stale| stale.is_stale());
        if of_team.is_empty() {
            return None;
        }
        let mut rows: Vec<Membership> = Vec::with_capacity(team.members().len());
        for row in team.members() {
            match of_team.get(&row.user) {
                Some(stale) => rows.extend(stale.before),
                None => rows.push(*row),
            }
        }
        rows.extend(
            of_team
                .values()
                .filter_map(|stale| stale.before)
                .filter(|row| team.member(row.user).is_none()),
        );
        // Those who were removed go back to where their age puts them.
        rows.sort_by_key(|row| row.created_at);
        Some(rows)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, HashMap<Uuid, StaleRow>>> {
        self.by_team.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
