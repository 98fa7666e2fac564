//! The latest complete reading of a list, for what Buildkite shows in a list alone: the people's roles in the organization, the
//! teams of registries, and the objects that REST addresses by slug.
//!
//! It is recorded from the pages that a sync reads, so that a sync reads each list once. Only rows of the API's light types are
//! kept. A change by this process invalidates it: a reading that began before is not served, not even within its sync.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex as AsyncMutex;
use tokio::time::Instant;
use uuid::Uuid;

use crate::governance::{CallContext, GovernanceError};
use crate::providers::buildkite::Unavailability;
use crate::providers::buildkite::pagination::{Cursor, Row};

/// Readings that can be in progress at once; the oldest gives way. A sync reads a list while a single read may need it anew.
const MAX_PARTIAL: usize = 2;

/// How often a list is read for a call if changes by this process invalidate the readings.
const MAX_READINGS: usize = 3;

/// A complete reading of a list.
#[derive(Debug)]
pub(super) struct Reading<R> {
    begun: Instant,
    /// In the order of the ids, each id once.
    rows: Vec<R>,
}

impl<R: Row> Reading<R> {
    /// All rows, in the order of the ids.
    pub(super) fn rows(&self) -> &[R] {
        &self.rows
    }

    /// The row with this id.
    pub(super) fn find(&self, id: Uuid) -> Option<&R> {
        let index = self.rows.binary_search_by_key(&id, Row::id).ok()?;
        self.rows.get(index)
    }
}

/// The latest complete reading of a list.
#[derive(Debug)]
pub(super) struct LatestList<R> {
    /// How old a reading may be that serves a call, unless it was read within the call's sync.
    max_age: Duration,
    state: Mutex<State<R>>,
    /// Held while the list is read for a call, so that concurrent callers share the reading.
    reading: AsyncMutex<()>,
}

#[derive(Debug)]
struct State<R> {
    partial: Vec<Partial<R>>,
    complete: Option<Arc<Reading<R>>>,
    /// Readings that began before this moment are not served.
    not_before: Option<Instant>,
}

/// A reading in progress.
#[derive(Debug)]
struct Partial<R> {
    begun: Instant,
    next: Cursor,
    rows: Vec<R>,
}

impl<R: Row> LatestList<R> {
    pub(super) fn new(max_age: Duration) -> Self {
        Self {
            max_age,
            state: Mutex::new(State {
                partial: Vec::new(),
                complete: None,
                not_before: None,
            }),
            reading: AsyncMutex::default(),
        }
    }

    /// Records rows of the list that were read from `from` to `next` by a request that began at `begun`. Without `next`, the list
    /// ends with them.
    pub(super) fn record(&self, from: &Cursor, begun: Instant, rows: impl Iterator<Item = R>, next: Option<&Cursor>) {
        let mut state = self.lock();
        if state.not_before.is_some_and(|moment| begun < moment) {
            return;
        }
        let mut reading = if *from == Cursor::Start {
            Partial {
                begun,
                next: Cursor::Start,
                rows: Vec::new(),
            }
        } else {
            let Some(index) = state.partial.iter().position(|partial| partial.next == *from) else {
                return;
            };
            state.partial.remove(index)
        };
        reading.rows.extend(rows);
        if let Some(next) = next {
            reading.next = next.clone();
            if state.partial.len() >= MAX_PARTIAL {
                state.partial.remove(0);
            }
            state.partial.push(reading);
        } else if state
            .complete
            .as_ref()
            .is_none_or(|latest| latest.begun <= reading.begun)
        {
            state.complete = Some(Arc::new(reading.complete()));
        }
    }

    /// Drops what was read, and what is being read, because this process changes the list.
    pub(super) fn invalidate(&self) {
        let mut state = self.lock();
        state.not_before = Some(Instant::now());
        state.partial.clear();
        state.complete = None;
    }

    /// The latest complete reading, if it is recent enough for the call; else a new one, made by `read`, which has to record it.
    ///
    /// # Errors
    /// The failure of `read`, or `Unavailable` for a list that changed faster than it could be read.
    pub(super) async fn recent<F: Future<Output = Result<(), GovernanceError>>>(
        &self,
        endpoint: &'static str,
        call: &CallContext,
        read: impl Fn() -> F,
    ) -> Result<Arc<Reading<R>>, GovernanceError> {
        let is_recent = |reading: &Arc<Reading<R>>| {
            let since = call.reuses_reads_since();
            reading.begun.elapsed() <= self.max_age || since.is_some_and(|since| reading.begun >= since)
        };
        if let Some(reading) = self.complete().filter(is_recent) {
            return Ok(reading);
        }
        let _one_at_a_time = self.reading.lock().await;
        if let Some(reading) = self.complete().filter(is_recent) {
            return Ok(reading);
        }
        self.read_now(endpoint, read).await
    }

    /// A complete reading that begins now.
    ///
    /// # Errors
    /// As for [`Self::recent`].
    pub(super) async fn anew<F: Future<Output = Result<(), GovernanceError>>>(
        &self,
        endpoint: &'static str,
        read: impl Fn() -> F,
    ) -> Result<Arc<Reading<R>>, GovernanceError> {
        let asked = Instant::now();
        let _one_at_a_time = self.reading.lock().await;
        if let Some(reading) = self.complete().filter(|reading| reading.begun >= asked) {
            return Ok(reading);
        }
        self.read_now(endpoint, read).await
    }

    async fn read_now<F: Future<Output = Result<(), GovernanceError>>>(
        &self,
        endpoint: &'static str,
        read: impl Fn() -> F,
    ) -> Result<Arc<Reading<R>>, GovernanceError> {
        for _ in 0..MAX_READINGS {
            let begun = Instant::now();
            read().await?;
            if let Some(reading) = self.complete().filter(|reading| reading.begun >= begun) {
                return Ok(reading);
            }
            if self.lock().not_before.is_none_or(|moment| moment < begun) {
                break;
            }
        }
        Err(GovernanceError::Unavailable {
            endpoint,
            why: Unavailability::ListUnstable.to_string(),
        })
    }

    fn complete(&self) -> Option<Arc<Reading<R>>> {
        self.lock().complete.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R: Row> Partial<R> {
    fn complete(mut self) -> Reading<R> {
        // Of several rows with the same id the last one is kept.
        self.rows.reverse();
        self.rows.sort_by_key(Row::id);
        self.rows.dedup_by_key(|row| row.id());
        self.rows.shrink_to_fit();
        Reading {
            begun: self.begun,
            rows: self.rows,
        }
    }
}
