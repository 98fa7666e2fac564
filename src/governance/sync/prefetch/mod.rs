//! Read-ahead: while a platform asks for one thing after the other, what it will ask for next is read already.
//!
//! Within a sync, the lists of people and of teams are read on while their parts are handed out (`list`), and the members of
//! the teams to come are read several at once (`members`). What is held is bounded in rows, and dropped at the sync's end
//! or when it goes quiet. A grant or revoke of ours makes a newer generation of its team: what was read, or being read,
//! before is not served. A process that knows nothing of a sync, because it was restarted in the middle of one, lists the
//! teams once for itself (`late_join`).

mod late_join;
mod list;
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
use list::ListPrefetch;
pub(crate) use list::PrefetchableRow;
use members::MemberPrefetch;
use task::{PrefetchTask, RowBudget};

/// Rows of a list that one prefetch reads: several pages, so that their windows are requested concurrently.
const PREFETCH_ROWS: usize = 3 * ROWS_PER_PAGE;

/// A session without requests for this long is dropped. Longer than a client waits for a rate limit window.
const SESSION_IDLE_TIMEOUT: Duration = Duration::from_secs(120);

/// Syncs that are read ahead for; the one that was quiet for longest gives way. A platform runs one, and a second while the
/// first one ends.
const MAX_SESSIONS: usize = 8;

/// What is read ahead, by sync.
#[derive(Debug)]
pub(crate) struct Prefetch {
    upstream: Arc<dyn Upstream>,
    /// Requests that are under way at once, for each sync; zero reads nothing ahead.
    limit: usize,
    budget: RowBudget,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    sessions: HashMap<String, PrefetchSession>,
    generations: HashMap<TeamId, u64>,
}

/// One sync.
#[derive(Debug)]
pub(crate) struct PrefetchSession {
    people: Option<ListPrefetch<OrganizationMember>>,
    teams: Option<ListPrefetch<Team>>,
    members: MemberPrefetch,
    /// The listing of its teams, where the sync was met in its middle.
    late_join: Option<AbortOnDropHandle<()>>,
    last_used: Instant,
}

impl Prefetch {
    pub(crate) fn new(upstream: Arc<dyn Upstream>, limit: usize) -> Self {
        Self {
            upstream,
            limit,
            budget: RowBudget::default(),
            state: Arc::default(),
        }
    }

    /// A call's requests for the windows of a list may be under way together, as many as are read ahead.
    pub(crate) fn with_list_concurrency(&self, call: &CallContext) -> CallContext {
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
        self.next_page(sync, from, limit, call, |sync| &mut sync.people).await
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
        let page = self.next_page(sync, from, limit, call, |sync| &mut sync.teams).await?;
        self.with_session(sync, |sync, _| {
            if first {
                // What is listed from its beginning here is not met in its middle.
                sync.late_join = None;
            }
            sync.members.record_listed(first, page.rows.iter().map(|row| row.id));
        });
        Ok(page)
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
                .with_session(sync, |sync, _| sync.members.take_remainder(team, &from, generation))
                .flatten(),
        };
        let mut batch = if let Some(kept) = kept {
            kept
        } else {
            // What is beyond the part is kept within a sync alone.
            let keeps = self.limit > 0 && !sync.is_empty();
            let enough = if keeps { ROWS_PER_PAGE } else { min_rows_for(limit) };
            let call = self.with_list_concurrency(call);
            self.upstream.members(team, from, enough, &call).await?
        };
        let page = batch.split(limit);
        if let Some(at) = page.next.clone().filter(|_| !batch.rows.is_empty()) {
            let rest = self.budget.hold(batch);
            self.with_session(sync, |sync, _| sync.members.store_remainder(team, generation, at, rest));
        }
        Ok(page)
    }

    /// The first members of a team, if they were prefetched and not invalidated since.
    async fn first_members(
        &self,
        sync: &str,
        team: TeamId,
        call: &CallContext,
    ) -> Result<Option<Batch<TeamMember>>, ApiError> {
        let id = sync;
        let read = self.with_session(id, |sync, generations| {
            self.join_late(id, sync, team);
            sync.members.on_request(self, generations, team, call)
        });
        let Some((generation, task)) = read.flatten() else {
            return Ok(None);
        };
        let batch = task.join(call).await?;
        Ok(batch.filter(|_| generation == self.generation(team)))
    }

    /// Invalidates everything that was read of the team so far.
    pub(crate) fn invalidate(&self, team: TeamId) {
        *self.lock().generations.entry(team).or_default() += 1;
    }

    /// Frees what a sync held.
    pub(crate) fn end(&self, sync: &str) {
        self.lock().sessions.remove(sync);
    }

    /// Whether the prefetch cannot finish before the caller's deadline. Fail fast then; the prefetch continues and serves the
    /// retry.
    fn would_miss_deadline<R: Send + 'static>(&self, task: &PrefetchTask<R>, call: &CallContext) -> bool {
        let Some(deadline) = call.deadline().filter(|_| !task.is_finished()) else {
            return false;
        };
        let turn = self.upstream.forecast(Lane::Sync, 1);
        turn.is_some_and(|turn| turn > deadline)
    }

    fn generation(&self, team: TeamId) -> u64 {
        self.lock().generations.get(&team).copied().unwrap_or_default()
    }

    /// Runs `look` on the session of a sync, which is created if needed. Returns `None` if prefetching is off.
    fn with_session<T>(
        &self,
        id: &str,
        look: impl FnOnce(&mut PrefetchSession, &HashMap<TeamId, u64>) -> T,
    ) -> Option<T> {
        if self.limit == 0 || id.is_empty() {
            return None;
        }
        let mut state = self.lock();
        let State { sessions, generations } = &mut *state;
        if sessions.is_empty() {
            tokio::spawn(sweep(Arc::downgrade(&self.state)));
        }
        if !sessions.contains_key(id) && sessions.len() >= MAX_SESSIONS {
            let quietest = sessions.iter().min_by_key(|(_, sync)| sync.last_used);
            let quietest = quietest.map(|(id, _)| id.clone());
            quietest.and_then(|quietest| sessions.remove(&quietest));
        }
        let sync = sessions.entry(id.to_owned()).or_default();
        sync.last_used = Instant::now();
        Some(look(sync, generations))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change of the state is complete before anything that could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for PrefetchSession {
    fn default() -> Self {
        Self {
            people: None,
            teams: None,
            members: MemberPrefetch::default(),
            late_join: None,
            last_used: Instant::now(),
        }
    }
}

/// Drops idle sessions, until none is left.
async fn sweep(state: Weak<Mutex<State>>) {
    loop {
        tokio::time::sleep(SESSION_IDLE_TIMEOUT / 4).await;
        let Some(state) = state.upgrade() else {
            return;
        };
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        state
            .sessions
            .retain(|_, sync| sync.last_used.elapsed() < SESSION_IDLE_TIMEOUT);
        if state.sessions.is_empty() {
            return;
        }
    }
}
