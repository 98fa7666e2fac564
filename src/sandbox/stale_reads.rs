//! Writes that reads do not show yet. For each of them, this keeps the row from before the write.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;
use uuid::Uuid;

use super::behaviors::WriteLag;
use super::clusters::ClusterMaintainer;
use super::indexed_list::{IndexedList, Keyed};
use super::invitations::Invitation;
use super::organization::Person;
use super::pipelines::Build;
use super::team::{Membership, Team, TeamPipeline, TeamSuite};

/// The hidden writes of every kind of row. The lists of the organization itself have the organization's id.
#[derive(Debug, Default)]
pub(super) struct StaleReads {
    pub(super) teams: StaleRows<Team>,
    pub(super) people: StaleRows<Person>,
    pub(super) invitations: StaleRows<Invitation>,
    pub(super) team_members: StaleRows<Membership>,
    pub(super) team_pipelines: StaleRows<TeamPipeline>,
    pub(super) team_suites: StaleRows<TeamSuite>,
    pub(super) cluster_maintainers: StaleRows<ClusterMaintainer>,
    /// By pipeline. A change of a job is one of its build.
    pub(super) builds: StaleRows<Build>,
}

#[derive(Debug)]
struct StaleRow<R> {
    before: Option<R>,
    lag: WriteLag,
    written: Instant,
}

impl<R> StaleRow<R> {
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

/// The writes to one kind of row that are still hidden, by list and row.
#[derive(Debug)]
pub(super) struct StaleRows<R> {
    by_list: Mutex<HashMap<Uuid, HashMap<Uuid, StaleRow<R>>>>,
}

impl<R> Default for StaleRows<R> {
    fn default() -> Self {
        Self {
            by_list: Mutex::default(),
        }
    }
}

impl<R: Keyed + Clone> StaleRows<R> {
    /// Records a write. After several writes within the lag, reads return the row from before the first.
    pub(super) fn record(&self, list: Uuid, row: Uuid, before: Option<R>, lag: WriteLag) {
        if lag == WriteLag::None {
            return;
        }
        let mut by_list = self.lock();
        let stale = by_list.entry(list).or_default().entry(row).or_insert(StaleRow {
            before,
            lag,
            written: Instant::now(),
        });
        stale.lag = lag;
        stale.written = Instant::now();
    }

    /// One row as a read returns it.
    pub(super) fn row(&self, list: Uuid, row: Uuid, current: &IndexedList<R>) -> Option<R> {
        self.row_or(list, row, || current.get(row).cloned())
    }

    /// One row as a read returns it, which is `current` unless a write of it is still hidden.
    pub(super) fn row_or(&self, list: Uuid, row: Uuid, current: impl FnOnce() -> Option<R>) -> Option<R> {
        let mut by_list = self.lock();
        if let Some(stale_rows) = by_list.get_mut(&list)
            && let Some(stale) = stale_rows.get_mut(&row)
        {
            if stale.is_stale() {
                return stale.before.clone();
            }
            stale_rows.remove(&row);
        }
        current()
    }

    /// The whole list as a read returns it; `None` if it equals the current list.
    pub(super) fn rows(&self, list: Uuid, current: &IndexedList<R>) -> Option<Vec<R>> {
        self.rows_of(list, current.as_slice(), |row| current.contains(row))
    }

    /// The whole list as a read returns it; `None` if it equals `current`, which `contains` looks ids up in.
    pub(super) fn rows_of(&self, list: Uuid, current: &[R], contains: impl Fn(Uuid) -> bool) -> Option<Vec<R>> {
        let mut by_list = self.lock();
        let stale_rows = by_list.get_mut(&list)?;
        stale_rows.retain(|_, stale| stale.is_stale());
        if stale_rows.is_empty() {
            return None;
        }
        let mut rows: Vec<R> = Vec::with_capacity(current.len());
        for row in current {
            match stale_rows.get(&row.key()) {
                Some(stale) => rows.extend(stale.before.clone()),
                None => rows.push(row.clone()),
            }
        }
        let removed = stale_rows.values().filter_map(|stale| stale.before.as_ref());
        rows.extend(removed.filter(|row| !contains(row.key())).cloned());
        // Sorting puts removed rows back at their place by age.
        rows.sort_by_key(Keyed::created_at);
        Some(rows)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, HashMap<Uuid, StaleRow<R>>>> {
        self.by_list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
