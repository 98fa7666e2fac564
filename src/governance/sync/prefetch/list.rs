//! A list that is read on while its pages are returned.

use std::num::NonZeroUsize;
use std::sync::Arc;

use super::Prefetch;
use super::limits::PREFETCH_ROWS;
use super::task::{HeldBatch, PrefetchTask};
use crate::governance::CallContext;
use crate::governance::model::Resource;
use crate::governance::provider::{Amount, Cursor, Failure, ResourceType, Rows};
use crate::governance::sync::session::SessionHandle;
use crate::telemetry::traces::OperationSpan;

/// The prefetched rows of a list, and the read of the rows after them.
#[derive(Debug, Default)]
pub(crate) struct ListPrefetch {
    /// The cursor of the next page; `None` is the beginning.
    next: Option<Cursor>,
    ready: Option<HeldBatch<Resource>>,
    /// Reads the rows after `ready`.
    task: Option<PrefetchTask<Resource>>,
}

impl Prefetch {
    /// The page of a list that begins at `from`, of `limit` rows at most.
    pub(super) async fn next_page(
        &self,
        session: SessionHandle<'_>,
        resources: &Arc<dyn ResourceType>,
        from: Option<Cursor>,
        limit: Option<NonZeroUsize>,
        call: &CallContext,
    ) -> Result<Rows<Resource>, Failure> {
        let id = resources.info().id;
        let continues = |list: &mut ListPrefetch| {
            let awaited = list.task.as_ref().filter(|_| list.ready.is_none());
            list.next == from && !awaited.is_some_and(|task| self.would_miss_deadline(task, call))
        };
        let prefetched = self.with_session(session, |prefetched| {
            let list = prefetched.lists.get_mut(id);
            list.is_some_and(continues)
                .then(|| prefetched.lists.remove(id))
                .flatten()
        });
        let call_for_list = self.with_list_concurrency(call);
        let Some(prefetched) = prefetched else {
            let mut batch = resources.list(from, Amount::Page(limit), &call_for_list).await?;
            return Ok(batch.split(limit));
        };
        let ListPrefetch { ready, mut task, .. } = prefetched.unwrap_or_default();
        let mut ready = ready.map(|held| held.batch);
        if ready.is_none()
            && let Some(task) = task.take()
        {
            ready = task.join(call).await?;
        }
        let mut ready = if let Some(ready) = ready {
            ready
        } else {
            let amount = Amount::AtLeast(PREFETCH_ROWS);
            resources.list(from, amount, &call_for_list).await?
        };
        let page = ready.split(limit);
        if let Some(next) = page.next.clone() {
            let ready = (!ready.is_empty()).then_some(ready);
            let end = ready.as_ref().map_or(Some(next.clone()), |rest| rest.next());
            let task = match (task, end) {
                (Some(task), _) => Some(task),
                (None, Some(end)) => self.prefetch_next(resources, end),
                (None, None) => None,
            };
            let list = ListPrefetch {
                next: Some(next),
                ready: ready.map(|rest| self.budget.hold(rest)),
                task,
            };
            self.with_session(session, |prefetched| prefetched.lists.insert(id, list));
        }
        Ok(page)
    }

    fn prefetch_next(&self, resources: &Arc<dyn ResourceType>, from: Cursor) -> Option<PrefetchTask<Resource>> {
        let resources = Arc::clone(resources);
        let resource_type = resources.info().id;
        let read = |call: CallContext| async move {
            let amount = Amount::AtLeast(PREFETCH_ROWS);
            resources.list(Some(from), amount, &call).await
        };
        (!self.budget.is_full()).then(|| {
            let span = OperationSpan::prefetched_page("resources", resource_type);
            PrefetchTask::spawn(&self.budget, self.limit, span, read)
        })
    }
}
