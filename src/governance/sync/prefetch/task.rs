//! Rows that are read before they are requested.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::limits::MAX_ROWS;
use crate::governance::provider::{Batch, Failure};
use crate::governance::{CallContext, Lane};
use crate::telemetry::traces::OperationSpan;

/// The number of prefetched rows of all syncs.
#[derive(Debug, Clone, Default)]
pub(crate) struct RowBudget(Arc<AtomicUsize>);

impl RowBudget {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn is_full(&self) -> bool {
        self.count() >= MAX_ROWS
    }

    /// Counts the rows of `batch` for as long as they are held.
    pub(crate) fn hold<R>(&self, batch: Box<dyn Batch<R>>) -> HeldBatch<R> {
        HeldBatch {
            _reservation: self.reserve(batch.len()),
            batch,
        }
    }

    /// Counts `rows` until the reservation is dropped.
    fn reserve(&self, rows: usize) -> RowReservation {
        self.0.fetch_add(rows, Ordering::Relaxed);
        RowReservation {
            rows,
            budget: self.clone(),
        }
    }
}

/// Rows that are counted for as long as they are held.
#[derive(Debug)]
pub(crate) struct HeldBatch<R> {
    pub(crate) batch: Box<dyn Batch<R>>,
    _reservation: RowReservation,
}

#[derive(Debug)]
struct RowReservation {
    rows: usize,
    budget: RowBudget,
}

impl Drop for RowReservation {
    fn drop(&mut self) {
        self.budget.0.fetch_sub(self.rows, Ordering::Relaxed);
    }
}

/// The rows of a finished read, and their reservation.
type ReservedBatch<R> = (Box<dyn Batch<R>>, RowReservation);

/// A read in the background, finished or not. Dropping it cancels the read.
#[derive(Debug)]
pub(crate) struct PrefetchTask<R> {
    /// The context of the read, with its statistics: waits are charged to the caller that joins the task.
    call: CallContext,
    task: AbortOnDropHandle<Result<ReservedBatch<R>, Failure>>,
}

impl<R: Send + 'static> PrefetchTask<R> {
    /// Starts a read, with its span, on the lane of syncs, with up to `concurrency` windows of a list requested at once. Must be called within a
    /// runtime.
    pub(crate) fn spawn<F>(
        budget: &RowBudget,
        concurrency: usize,
        span: OperationSpan,
        read: impl FnOnce(CallContext) -> F,
    ) -> Self
    where
        F: Future<Output = Result<Box<dyn Batch<R>>, Failure>> + Send + 'static,
    {
        let call = CallContext::new(Lane::Sync).with_concurrency(concurrency);
        let (budget, rows) = (budget.clone(), read(call.clone()));
        let task = AbortOnDropHandle::new(tokio::spawn(async move {
            let batch = span.run(rows).await?;
            let reservation = budget.reserve(batch.len());
            Ok((batch, reservation))
        }));
        Self { call, task }
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.task.is_finished()
    }

    /// Waits for the rows on behalf of `call`. Returns `None` if the task had failed before this call, so that the caller
    /// reads again.
    ///
    /// # Errors
    /// If the read fails while the call waits for it, as a read by the call itself would have failed.
    pub(crate) async fn join(self, call: &CallContext) -> Result<Option<Box<dyn Batch<R>>>, Failure> {
        let (waited_before, joined_at) = (self.call.stats().waited, Instant::now());
        let was_finished = self.is_finished();
        let outcome = self.task.await;
        let waited = self.call.stats().waited.saturating_sub(waited_before);
        call.add_wait(waited.min(joined_at.elapsed()));
        match outcome {
            Ok(Ok((batch, _))) => Ok(Some(batch)),
            Ok(Err(error)) if !was_finished => Err(error),
            Ok(Err(_)) | Err(_) => Ok(None),
        }
    }
}
