//! Read-ahead: while a platform asks for one thing after the other, what it will ask for next is read already.
//!
//! Within a sync, the lists of people and of teams are read on while their parts are handed out (`list`), and the members of
//! the teams to come are read several at once (`members`). What is held is bounded in rows, and dropped at the sync's end
//! or when it goes quiet. A grant or revoke of ours makes a newer generation of its team: what was read, or being read,
//! before is not served. A process that knows nothing of a sync, because it was restarted in the middle of one, lists the
//! teams once for itself (`late_join`).

mod grants;
mod late_join;
mod list;
pub(crate) mod task;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use crate::governance::model::{Holding, Resource, ResourceId};
use crate::governance::provider::{Amount, Batch, Cursor, Failure, Provider, ResourceType, Rows};
use crate::governance::{CallContext, Lane};
use grants::{GrantPrefetch, ROWS_AHEAD};
use list::ListPrefetch;
use task::{PrefetchTask, RowBudget};

/// Rows of a list that one prefetch reads: several pages, so that their windows are requested concurrently.
const PREFETCH_ROWS: usize = 3 * ROWS_AHEAD;

/// A session without requests for this long is dropped. Longer than a client waits for a rate limit window.
const SESSION_IDLE_TIMEOUT: Duration = Duration::from_secs(120);

/// Syncs that are read ahead for; the one that was quiet for longest gives way. A platform runs one, and a second while the
/// first one ends.
const MAX_SESSIONS: usize = 8;

/// How often this process invalidated what was read of a resource's grants.
type Generations = HashMap<ResourceId, u64>;

/// What is read ahead, by sync.
#[derive(Debug)]
pub(crate) struct Prefetch {
    provider: Arc<dyn Provider>,
    /// Requests that are under way at once, for each sync; zero reads nothing ahead.
    limit: usize,
    budget: RowBudget,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    sessions: HashMap<String, PrefetchSession>,
    generations: Generations,
}

/// One sync. Both maps are by resource type.
#[derive(Debug)]
pub(crate) struct PrefetchSession {
    lists: HashMap<&'static str, ListPrefetch>,
    grants: HashMap<&'static str, GrantPrefetch>,
    /// The listing of the resources of a type, if the sync was joined late.
    late_joins: HashMap<&'static str, AbortOnDropHandle<()>>,
    last_used: Instant,
}

impl Prefetch {
    pub(crate) fn new(provider: Arc<dyn Provider>, limit: usize) -> Self {
        Self {
            provider,
            limit,
            budget: RowBudget::default(),
            state: Arc::default(),
        }
    }

    /// A call's requests for the windows of a list may be in flight together, as many as are read ahead.
    pub(crate) fn with_list_concurrency(&self, call: &CallContext) -> CallContext {
        call.clone().with_concurrency(self.limit)
    }

    /// A part of a list of resources, of `limit` rows at most. Must be called within a runtime.
    ///
    /// # Errors
    /// As for reading it without prefetching.
    pub(crate) async fn resources(
        &self,
        sync: &str,
        resources: &Arc<dyn ResourceType>,
        from: Option<Cursor>,
        limit: Option<NonZeroUsize>,
        call: &CallContext,
    ) -> Result<Rows<Resource>, Failure> {
        let (info, first) = (resources.info(), from.is_none());
        let page = self.next_page(sync, resources, from, limit, call).await?;
        if info.has_grants() {
            self.with_session(sync, |sync, _| {
                if first {
                    // A sync whose list begins here is not joined late.
                    sync.late_joins.remove(info.id);
                }
                let ids = page.rows.iter().map(|row| row.id.id);
                sync.grants.entry(info.id).or_default().record_listed(first, ids);
            });
        }
        Ok(page)
    }

    /// A part of a resource's grants, of `limit` rows at most. Must be called within a runtime.
    ///
    /// # Errors
    /// As for reading it without prefetching.
    pub(crate) async fn grants(
        &self,
        sync: &str,
        resources: &Arc<dyn ResourceType>,
        id: Uuid,
        from: Option<Cursor>,
        limit: Option<NonZeroUsize>,
        call: &CallContext,
    ) -> Result<Rows<Holding>, Failure> {
        let resource_type = resources.info();
        let resource = ResourceId { resource_type, id };
        let generation = self.generation(resource);
        let kept = match &from {
            None => self.first_grants(sync, resources, resource, call).await?,
            Some(from) => self
                .with_session(sync, |sync, _| {
                    let grants = sync.grants.get_mut(resource_type.id)?;
                    grants.take_remainder(id, from, generation)
                })
                .flatten(),
        };
        let mut batch = if let Some(kept) = kept {
            kept
        } else {
            // The excess is kept within a sync alone.
            let keeps = self.limit > 0 && !sync.is_empty();
            let amount = if keeps {
                Amount::AtLeast(ROWS_AHEAD)
            } else {
                Amount::Page(limit)
            };
            let call = self.with_list_concurrency(call);
            resources.grants(id, from, amount, &call).await?
        };
        let page = batch.split(limit);
        if let Some(at) = page.next.clone().filter(|_| !batch.is_empty()) {
            let rest = self.budget.hold(batch);
            self.with_session(sync, |sync, _| {
                let grants = sync.grants.entry(resource_type.id).or_default();
                grants.store_remainder(id, generation, at, rest);
            });
        }
        Ok(page)
    }

    /// The first grants of a resource, if they were prefetched and not invalidated since.
    async fn first_grants(
        &self,
        sync: &str,
        resources: &Arc<dyn ResourceType>,
        resource: ResourceId,
        call: &CallContext,
    ) -> Result<Option<Box<dyn Batch<Holding>>>, Failure> {
        let id = sync;
        let read = self.with_session(id, |sync, generations| {
            self.join_late(id, sync, resources, resource.id);
            let grants = sync.grants.entry(resource.resource_type.id).or_default();
            grants.on_request(self, resources, generations, resource.id, call)
        });
        let Some((generation, task)) = read.flatten() else {
            return Ok(None);
        };
        let batch = task.join(call).await?;
        Ok(batch.filter(|_| generation == self.generation(resource)))
    }

    /// Invalidates everything that was read of the resource's grants so far.
    pub(crate) fn invalidate(&self, resource: ResourceId) {
        *self.lock().generations.entry(resource).or_default() += 1;
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
        let turn = self.provider.forecast(Lane::Sync, 1);
        turn.is_some_and(|turn| turn > deadline)
    }

    fn generation(&self, resource: ResourceId) -> u64 {
        self.lock().generations.get(&resource).copied().unwrap_or_default()
    }

    /// Runs `look` on the session of a sync, which is created if needed. Returns `None` if prefetching is off.
    fn with_session<T>(&self, id: &str, look: impl FnOnce(&mut PrefetchSession, &Generations) -> T) -> Option<T> {
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
            lists: HashMap::new(),
            grants: HashMap::new(),
            late_joins: HashMap::new(),
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
