//! Read-ahead: while a platform asks for one thing after the other, what it will ask for next is read already.
//!
//! Within a sync, the lists of people and of teams are read on while their parts are handed out (`list`), and the members of
//! the teams to come are read several at once (`members`). What is held is bounded in rows, and dropped at the sync's end
//! or when it goes quiet. A grant or revoke of ours makes a newer generation of its team: what was read, or being read,
//! before is not served. A process that knows nothing of a sync, because it was restarted in the middle of one, lists the
//! teams once for itself (`meeting`).

mod list;
mod meeting;
mod members;
pub(crate) mod task;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::governance::Upstream;
use crate::providers::buildkite::pagination::{Batch, Cursor, ROWS_PER_PAGE, min_rows_for};
use crate::providers::buildkite::{ApiError, CallContext, Lane, OrganizationMember, Team, TeamId, TeamMember};
pub(crate) use list::Listed;
use list::Run;
use members::Members;
use task::{HeldRows, Reading};

/// Rows of a list that are read at once: some parts, so that their windows can be asked for together.
const FAR: usize = 3 * ROWS_PER_PAGE;

/// A sync that asks for nothing for so long is over, or stopped: longer than a client that was told to waits for a window.
const QUIET: Duration = Duration::from_secs(120);

/// Syncs that are read ahead for; the one that was quiet for longest gives way. A platform runs one, and a second while the
/// first one ends.
const SYNCS: usize = 8;

/// What is read ahead, by sync.
#[derive(Debug)]
pub(crate) struct Prefetch {
    upstream: Arc<dyn Upstream>,
    /// Requests that are under way at once, for each sync; zero reads nothing ahead.
    limit: usize,
    held: HeldRows,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    syncs: HashMap<String, Sync>,
    generations: HashMap<TeamId, u64>,
}

/// One sync.
#[derive(Debug)]
pub(crate) struct Sync {
    people: Option<Run<OrganizationMember>>,
    teams: Option<Run<Team>>,
    members: Members,
    /// The listing of its teams, where the sync was met in its middle.
    meeting: Option<AbortOnDropHandle<()>>,
    touched: Instant,
}

impl Prefetch {
    pub(crate) fn new(upstream: Arc<dyn Upstream>, limit: usize) -> Self {
        Self {
            upstream,
            limit,
            held: HeldRows::default(),
            state: Arc::default(),
        }
    }

    /// A call's requests for the windows of a list may be under way together, as many as are read ahead.
    pub(crate) fn together(&self, call: &CallContext) -> CallContext {
        call.clone().with_concurrency(self.limit)
    }

    /// A part of the people list, of `limit` rows at most.
    ///
    /// # Errors
    /// As for reading it without looking ahead.
    pub(crate) async fn people(
        &self,
        sync: &str,
        from: Cursor,
        limit: Option<NonZeroUsize>,
        call: &CallContext,
    ) -> Result<Batch<OrganizationMember>, ApiError> {
        self.part(sync, from, limit, call, |sync| &mut sync.people).await
    }

    /// A part of the team list, of `limit` rows at most. Must be called within a runtime.
    ///
    /// # Errors
    /// As for reading it without looking ahead.
    pub(crate) async fn teams(
        &self,
        sync: &str,
        from: Cursor,
        limit: Option<NonZeroUsize>,
        call: &CallContext,
    ) -> Result<Batch<Team>, ApiError> {
        let first = from == Cursor::Start;
        let part = self.part(sync, from, limit, call, |sync| &mut sync.teams).await?;
        self.with(sync, |sync, _| {
            if first {
                // What is listed from its beginning here is not met in its middle.
                sync.meeting = None;
            }
            sync.members.listed(first, part.rows.iter().map(|row| row.id));
        });
        Ok(part)
    }

    /// A part of a team's members, of `limit` rows at most. Must be called within a runtime.
    ///
    /// # Errors
    /// As for reading it without looking ahead.
    pub(crate) async fn members(
        &self,
        sync: &str,
        team: TeamId,
        from: Cursor,
        limit: Option<NonZeroUsize>,
        call: &CallContext,
    ) -> Result<Batch<TeamMember>, ApiError> {
        let generation = self.generation(team);
        let kept = match from {
            Cursor::Start => self.first_members(sync, team, call).await?,
            _ => self
                .with(sync, |sync, _| sync.members.rest(team, &from, generation))
                .flatten(),
        };
        let mut batch = if let Some(kept) = kept {
            kept
        } else {
            // What is beyond the part is kept within a sync alone.
            let keeps = self.limit > 0 && !sync.is_empty();
            let enough = if keeps { ROWS_PER_PAGE } else { min_rows_for(limit) };
            let call = self.together(call);
            self.upstream.members(team, from, enough, &call).await?
        };
        let part = batch.split(limit);
        if let Some(at) = part.next.clone().filter(|_| !batch.rows.is_empty()) {
            let rest = self.held.hold(batch);
            self.with(sync, |sync, _| sync.members.keep(team, generation, at, rest));
        }
        Ok(part)
    }

    /// The first members of a team, where they were read ahead and no write of ours came since.
    async fn first_members(
        &self,
        sync: &str,
        team: TeamId,
        call: &CallContext,
    ) -> Result<Option<Batch<TeamMember>>, ApiError> {
        let id = sync;
        let read = self.with(id, |sync, generations| {
            self.meet(id, sync, team);
            sync.members.asked(self, generations, team, call)
        });
        let Some((generation, reading)) = read.flatten() else {
            return Ok(None);
        };
        let batch = reading.outcome(call).await?;
        Ok(batch.filter(|_| generation == self.generation(team)))
    }

    /// Nothing that was read of the team so far is served any more.
    pub(crate) fn forget(&self, team: TeamId) {
        *self.lock().generations.entry(team).or_default() += 1;
    }

    /// Frees what a sync held.
    pub(crate) fn end(&self, sync: &str) {
        self.lock().syncs.remove(sync);
    }

    /// Whether whoever waits for `reading` would do so in vain, as far as can be foreseen: they are told at once, and what
    /// is read for them is there when they come again.
    fn is_too_late_for<R: Send + 'static>(&self, reading: &Reading<R>, call: &CallContext) -> bool {
        let Some(deadline) = call.deadline().filter(|_| !reading.has_ended()) else {
            return false;
        };
        let turn = self.upstream.forecast(Lane::Sync, 1);
        turn.is_some_and(|turn| turn > deadline)
    }

    fn generation(&self, team: TeamId) -> u64 {
        self.lock().generations.get(&team).copied().unwrap_or_default()
    }

    /// Looks at a sync, of which something may be known; none where nothing is read ahead.
    fn with<T>(&self, id: &str, look: impl FnOnce(&mut Sync, &HashMap<TeamId, u64>) -> T) -> Option<T> {
        if self.limit == 0 || id.is_empty() {
            return None;
        }
        let mut state = self.lock();
        let State { syncs, generations } = &mut *state;
        if syncs.is_empty() {
            tokio::spawn(sweep(Arc::downgrade(&self.state)));
        }
        if !syncs.contains_key(id) && syncs.len() >= SYNCS {
            let quietest = syncs.iter().min_by_key(|(_, sync)| sync.touched);
            let quietest = quietest.map(|(id, _)| id.clone());
            quietest.and_then(|quietest| syncs.remove(&quietest));
        }
        let sync = syncs.entry(id.to_owned()).or_default();
        sync.touched = Instant::now();
        Some(look(sync, generations))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change of the state is complete before anything that could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Sync {
    fn default() -> Self {
        Self {
            people: None,
            teams: None,
            members: Members::default(),
            meeting: None,
            touched: Instant::now(),
        }
    }
}

/// Frees what syncs held that went quiet, until there is none.
async fn sweep(state: Weak<Mutex<State>>) {
    loop {
        tokio::time::sleep(QUIET / 4).await;
        let Some(state) = state.upgrade() else {
            return;
        };
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        state.syncs.retain(|_, sync| sync.touched.elapsed() < QUIET);
        if state.syncs.is_empty() {
            return;
        }
    }
}
