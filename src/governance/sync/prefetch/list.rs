//! A list that is read on while its parts are handed out.

use std::num::NonZeroUsize;
use std::sync::Arc;

use super::task::PrefetchTask;
use super::{PREFETCH_ROWS, Prefetch};
use crate::governance::CallContext;
use crate::governance::model::Resource;
use crate::governance::provider::{Amount, Batch, Cursor, Failure, ResourceType, Rows};

/// The prefetched rows of a list, and the read of the rows after them.
#[derive(Debug, Default)]
pub(crate) struct ListPrefetch {
    /// The position of the next request; `None` is the beginning.
    at: Option<Cursor>,
    ready: Option<Box<dyn Batch<Resource>>>,
    coming: Option<PrefetchTask<Resource>>,
}

impl Prefetch {
    /// The part of a list that begins at `from`, of `limit` rows at most.
    pub(super) async fn next_page(
        &self,
        sync: &str,
        resources: &Arc<dyn ResourceType>,
        from: Option<Cursor>,
        limit: Option<NonZeroUsize>,
        call: &CallContext,
    ) -> Result<Rows<Resource>, Failure> {
        let id = resources.info().id;
        let continues = |list: &mut ListPrefetch| {
            let awaited = list.coming.as_ref().filter(|_| list.ready.is_none());
            list.at == from && !awaited.is_some_and(|task| self.would_miss_deadline(task, call))
        };
        let kept = self.with_session(sync, |session, _| {
            let list = session.lists.get_mut(id);
            list.is_some_and(continues).then(|| session.lists.remove(id)).flatten()
        });
        let call_for_list = self.with_list_concurrency(call);
        let Some(kept) = kept else {
            let mut read = resources.list(from, Amount::Page(limit), &call_for_list).await?;
            return Ok(read.split(limit));
        };
        let ListPrefetch {
            mut ready, mut coming, ..
        } = kept.unwrap_or_default();
        if ready.is_none()
            && let Some(task) = coming.take()
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
        if let Some(at) = page.next.clone() {
            let ready = (!ready.is_empty()).then_some(ready);
            let end = ready.as_ref().map_or(Some(at.clone()), |rest| rest.next());
            let coming = match (coming, end) {
                (Some(coming), _) => Some(coming),
                (None, Some(end)) => self.prefetch_next(resources, end),
                (None, None) => None,
            };
            let list = ListPrefetch {
                at: Some(at),
                ready,
                coming,
            };
            self.with_session(sync, |session, _| session.lists.insert(id, list));
        }
        Ok(page)
    }

    fn prefetch_next(&self, resources: &Arc<dyn ResourceType>, from: Cursor) -> Option<PrefetchTask<Resource>> {
        let resources = Arc::clone(resources);
        let read = |call: CallContext| async move {
            let amount = Amount::AtLeast(PREFETCH_ROWS);
            resources.list(Some(from), amount, &call).await
        };
        (!self.budget.is_full()).then(|| PrefetchTask::spawn(&self.budget, self.limit, read))
    }
}
