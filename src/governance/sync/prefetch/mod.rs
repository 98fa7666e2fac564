//! Prefetching: rows that the client of a sync is expected to request next are read before it requests them.
//!
//! A list of resources is read on while its pages are returned (`list`), and the grants of the resources that come next are read
//! concurrently (`grants`). `limits` says when prefetching stops. The rows belong to the session of the sync, which frees them when
//! the sync ends or is idle; a sync without an id has none. A grant or revoke by this process begins a new generation of the
//! resource's grants: rows of an older generation are not returned. A process that does not know a sync, because it was restarted during the
//! sync, lists the resources once (`late_join`).

mod grants;
mod late_join;
mod limits;
mod list;
pub(crate) mod task;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use super::session::SessionHandle;
use crate::governance::model::{Holding, Resource, ResourceId, ResourceTypeInfo};
use crate::governance::provider::{Amount, Batch, Cursor, Failure, Provider, ResourceType, Rows};
use crate::governance::{CallContext, Lane};
use grants::GrantPrefetch;
use limits::PREFETCH_GRANTS;
use list::ListPrefetch;
use task::{PrefetchTask, RowBudget};

/// Prefetches for syncs.
#[derive(Debug)]
pub(crate) struct Prefetch {
    provider: Arc<dyn Provider>,
    /// Maximum number of concurrent requests, for each sync; zero disables prefetching.
    limit: usize,
    budget: RowBudget,
    /// How often this process invalidated grants. A session is locked before it, never after.
    generations: Mutex<Generations>,
}

/// How often this process invalidated the grants of all resources of a type, by its id, and of single resources. The generation of a
/// resource is the sum of both.
#[derive(Debug, Default)]
struct Generations {
    types: HashMap<&'static str, u64>,
    resources: HashMap<ResourceId, u64>,
}

/// What is prefetched for one sync. All maps are by resource type.
#[derive(Debug, Default)]
pub(crate) struct PrefetchedLists {
    lists: HashMap<&'static str, ListPrefetch>,
    grants: HashMap<&'static str, GrantPrefetch>,
    /// The listing of the resources of a type, if the sync was joined late.
    late_joins: HashMap<&'static str, AbortOnDropHandle<()>>,
}

impl Prefetch {
    pub(crate) fn new(provider: Arc<dyn Provider>, limit: usize) -> Self {
        Self {
            provider,
            limit,
            budget: RowBudget::default(),
            generations: Mutex::default(),
        }
    }

    /// Lets the call request several windows of a list concurrently, as many as are prefetched.
    pub(crate) fn with_list_concurrency(&self, call: &CallContext) -> CallContext {
        call.clone().with_concurrency(self.limit)
    }

    /// A page of a list of resources, of `limit` rows at most. Must be called within a runtime.
    ///
    /// # Errors
    /// As for reading it without prefetching.
    pub(crate) async fn resources(
        &self,
        session: SessionHandle<'_>,
        resources: &Arc<dyn ResourceType>,
        from: Option<Cursor>,
        limit: Option<NonZeroUsize>,
        call: &CallContext,
    ) -> Result<Rows<Resource>, Failure> {
        let (info, is_first) = (resources.info(), from.is_none());
        let page = self.next_page(session, resources, from, limit, call).await?;
        if info.has_grants() {
            self.with_session(session, |prefetched| {
                if is_first {
                    // This process reads the list of the sync from its beginning: the sync is not joined late.
                    prefetched.late_joins.remove(info.id);
                }
                let ids = page.rows.iter().map(|row| row.id.id);
                let grants = prefetched.grants.entry(info.id).or_default();
                grants.record_listed(is_first, ids);
            });
        }
        Ok(page)
    }

    /// A page of a resource's grants, of `limit` rows at most. Must be called within a runtime.
    ///
    /// # Errors
    /// As for reading it without prefetching.
    pub(crate) async fn grants(
        &self,
        session: SessionHandle<'_>,
        resources: &Arc<dyn ResourceType>,
        id: Uuid,
        from: Option<Cursor>,
        limit: Option<NonZeroUsize>,
        call: &CallContext,
    ) -> Result<Rows<Holding>, Failure> {
        let resource_type = resources.info();
        let resource = ResourceId { resource_type, id };
        let generation = self.generation(resource);
        let prefetched = match &from {
            None => self.first_grants(session, resources, resource, call).await?,
            Some(from) => self
                .with_session(session, |prefetched| {
                    let grants = prefetched.grants.get_mut(resource_type.id)?;
                    grants.take_remainder(id, from, generation)
                })
                .flatten(),
        };
        let mut batch = if let Some(prefetched) = prefetched {
            prefetched
        } else {
            // Rows that do not fit the page are kept in a session only.
            let amount = if self.is_enabled(session) {
                Amount::AtLeast(PREFETCH_GRANTS)
            } else {
                Amount::Page(limit)
            };
            let call = self.with_list_concurrency(call);
            resources.grants(id, from, amount, &call).await?
        };
        let page = batch.split(limit);
        if let Some(next) = page.next.clone().filter(|_| !batch.is_empty()) {
            let rest = (!self.budget.is_full()).then(|| self.budget.hold(batch));
            self.with_session(session, |prefetched| {
                let grants = prefetched.grants.entry(resource_type.id).or_default();
                grants.store_remainder(id, generation, next, rest);
            });
        }
        Ok(page)
    }

    /// The first grants of a resource, if they were prefetched and not invalidated since.
    async fn first_grants(
        &self,
        session: SessionHandle<'_>,
        resources: &Arc<dyn ResourceType>,
        resource: ResourceId,
        call: &CallContext,
    ) -> Result<Option<Box<dyn Batch<Holding>>>, Failure> {
        let read = self.with_session(session, |prefetched| {
            self.join_late(session, prefetched, resources, resource.id);
            let grants = prefetched.grants.entry(resource.resource_type.id).or_default();
            grants.on_request(self, resources, resource.id, call)
        });
        let Some((generation, task)) = read.flatten() else {
            return Ok(None);
        };
        let batch = task.join(call).await?;
        Ok(batch.filter(|_| generation == self.generation(resource)))
    }

    /// Invalidates everything that was read of the resource's grants so far.
    pub(crate) fn invalidate(&self, resource: ResourceId) {
        *self.lock_generations().resources.entry(resource).or_default() += 1;
    }

    /// Invalidates everything that was read of the grants of a type's resources so far.
    pub(crate) fn invalidate_type(&self, resource_type: &ResourceTypeInfo) {
        *self.lock_generations().types.entry(resource_type.id).or_default() += 1;
    }

    /// Whether the prefetch cannot finish before the caller's deadline. Fail fast then; the prefetch continues and serves the
    /// retry.
    fn would_miss_deadline<R: Send + 'static>(&self, task: &PrefetchTask<R>, call: &CallContext) -> bool {
        let Some(deadline) = call.deadline().filter(|_| !task.is_finished()) else {
            return false;
        };
        let next_request = self.provider.forecast(Lane::Sync, 1);
        next_request.is_some_and(|sent_at| sent_at > deadline)
    }

    fn generation(&self, resource: ResourceId) -> u64 {
        let generations = self.lock_generations();
        let of_type = generations.types.get(resource.resource_type.id).copied();
        let of_resource = generations.resources.get(&resource).copied();
        of_type.unwrap_or_default() + of_resource.unwrap_or_default()
    }

    /// Whether rows are prefetched for the sync.
    fn is_enabled(&self, session: SessionHandle<'_>) -> bool {
        self.limit > 0 && session.has_id()
    }

    /// Runs `update` on what is prefetched for the sync. Returns `None` if nothing is prefetched for it.
    fn with_session<T>(&self, session: SessionHandle<'_>, update: impl FnOnce(&mut PrefetchedLists) -> T) -> Option<T> {
        self.is_enabled(session).then(|| session.update_prefetched(update))
    }

    fn lock_generations(&self) -> MutexGuard<'_, Generations> {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
