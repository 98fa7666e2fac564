//! A list that is read on while its parts are handed out.

use std::num::NonZeroUsize;
use std::sync::Arc;

use super::task::PrefetchTask;
use super::{PREFETCH_ROWS, Prefetch, PrefetchSession};
use crate::governance::Upstream;
use crate::providers::buildkite::pagination::{Batch, Cursor, Row, min_rows_for};
use crate::providers::buildkite::{ApiError, CallContext, Endpoint, OrganizationMember, Team};

/// A row of the organization's people or teams, whichever list is read.
pub(crate) trait PrefetchableRow: Row + Sized + 'static {
    /// Where the list is.
    const ENDPOINT: Endpoint;

    /// Reads some rows of the list.
    fn read(
        upstream: Arc<dyn Upstream>,
        from: Cursor,
        enough: usize,
        call: CallContext,
    ) -> impl Future<Output = Result<Batch<Self>, ApiError>> + Send + 'static;
}

impl PrefetchableRow for OrganizationMember {
    const ENDPOINT: Endpoint = Endpoint::OrganizationMembers;

    async fn read(
        upstream: Arc<dyn Upstream>,
        from: Cursor,
        enough: usize,
        call: CallContext,
    ) -> Result<Batch<Self>, ApiError> {
        upstream.people(from, enough, &call).await
    }
}

impl PrefetchableRow for Team {
    const ENDPOINT: Endpoint = Endpoint::Teams;

    async fn read(
        upstream: Arc<dyn Upstream>,
        from: Cursor,
        enough: usize,
        call: CallContext,
    ) -> Result<Batch<Self>, ApiError> {
        upstream.teams(from, enough, &call).await
    }
}

/// The prefetched rows of a list, and the read of the rows behind them.
#[derive(Debug)]
pub(crate) struct ListPrefetch<R> {
    /// What the next part is asked for with.
    at: Cursor,
    ready: Option<Batch<R>>,
    coming: Option<PrefetchTask<R>>,
}

impl<R> Default for ListPrefetch<R> {
    fn default() -> Self {
        Self {
            at: Cursor::Start,
            ready: None,
            coming: None,
        }
    }
}

impl Prefetch {
    /// The part of a list that begins at `from`, of `limit` rows at most; what is kept of the list is in its `place`.
    pub(crate) async fn next_page<R: PrefetchableRow>(
        &self,
        sync: &str,
        from: Cursor,
        limit: Option<NonZeroUsize>,
        call: &CallContext,
        list: impl Fn(&mut PrefetchSession) -> &mut Option<ListPrefetch<R>>,
    ) -> Result<Batch<R>, ApiError> {
        let continues = |run: &mut ListPrefetch<R>| {
            let awaited = run.coming.as_ref().filter(|_| run.ready.is_none());
            run.at == from && !awaited.is_some_and(|task| self.would_miss_deadline(task, call))
        };
        let kept = self.with_session(sync, |sync, _| list(sync).take_if(continues));
        let Some(kept) = kept else {
            let enough = min_rows_for(limit);
            let mut read = R::read(
                Arc::clone(&self.upstream),
                from,
                enough,
                self.with_list_concurrency(call),
            )
            .await?;
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
        let mut ready = match ready {
            Some(ready) => ready,
            None => {
                R::read(
                    Arc::clone(&self.upstream),
                    from,
                    PREFETCH_ROWS,
                    self.with_list_concurrency(call),
                )
                .await?
            }
        };
        let page = ready.split(limit);
        if let Some(at) = page.next.clone() {
            let ready = (!ready.rows.is_empty()).then_some(ready);
            let end = ready.as_ref().map_or(Some(&at), |rest| rest.next.as_ref());
            let coming = coming.or_else(|| self.prefetch_next(end?.clone()));
            self.with_session(sync, |sync, _| *list(sync) = Some(ListPrefetch { at, ready, coming }));
        }
        Ok(page)
    }

    fn prefetch_next<R: PrefetchableRow>(&self, from: Cursor) -> Option<PrefetchTask<R>> {
        let upstream = Arc::clone(&self.upstream);
        let read = |call| R::read(upstream, from, PREFETCH_ROWS, call);
        (!self.budget.is_full()).then(|| PrefetchTask::spawn(&self.budget, self.limit, read))
    }
}
