//! A list that is read on while its parts are handed out.

use std::num::NonZeroUsize;
use std::sync::Arc;

use super::task::Reading;
use super::{FAR, Prefetch, Sync};
use crate::governance::Upstream;
use crate::providers::buildkite::pagination::{Batch, Cursor, Row, min_rows_for};
use crate::providers::buildkite::{ApiError, CallContext, Endpoint, OrganizationMember, Team};

/// A row of the organization's people or teams, whichever list is read.
pub(crate) trait Listed: Row + Sized + 'static {
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

impl Listed for OrganizationMember {
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

impl Listed for Team {
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

/// What was read of a list and not asked for yet, and what is being read behind it.
#[derive(Debug)]
pub(crate) struct Run<R> {
    /// What the next part is asked for with.
    at: Cursor,
    ready: Option<Batch<R>>,
    coming: Option<Reading<R>>,
}

impl<R> Default for Run<R> {
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
    pub(crate) async fn part<R: Listed>(
        &self,
        sync: &str,
        from: Cursor,
        limit: Option<NonZeroUsize>,
        call: &CallContext,
        place: impl Fn(&mut Sync) -> &mut Option<Run<R>>,
    ) -> Result<Batch<R>, ApiError> {
        let goes_on = |run: &mut Run<R>| {
            let awaited = run.coming.as_ref().filter(|_| run.ready.is_none());
            run.at == from && !awaited.is_some_and(|reading| self.is_too_late_for(reading, call))
        };
        let kept = self.with(sync, |sync, _| place(sync).take_if(goes_on));
        let Some(kept) = kept else {
            let enough = min_rows_for(limit);
            let mut read = R::read(Arc::clone(&self.upstream), from, enough, self.together(call)).await?;
            return Ok(read.split(limit));
        };
        let Run {
            mut ready, mut coming, ..
        } = kept.unwrap_or_default();
        if ready.is_none()
            && let Some(reading) = coming.take()
        {
            ready = reading.outcome(call).await?;
        }
        let mut ready = match ready {
            Some(ready) => ready,
            None => R::read(Arc::clone(&self.upstream), from, FAR, self.together(call)).await?,
        };
        let part = ready.split(limit);
        if let Some(at) = part.next.clone() {
            let ready = (!ready.rows.is_empty()).then_some(ready);
            let end = ready.as_ref().map_or(Some(&at), |rest| rest.next.as_ref());
            let coming = coming.or_else(|| self.read_on(end?.clone()));
            self.with(sync, |sync, _| *place(sync) = Some(Run { at, ready, coming }));
        }
        Ok(part)
    }

    fn read_on<R: Listed>(&self, from: Cursor) -> Option<Reading<R>> {
        let upstream = Arc::clone(&self.upstream);
        let read = |call| R::read(upstream, from, FAR, call);
        (!self.held.is_full()).then(|| Reading::begin(&self.held, self.limit, read))
    }
}
