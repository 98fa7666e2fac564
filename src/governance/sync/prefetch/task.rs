//! Rows that are read before they are asked for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::governance::provider::{Batch, Failure};
use crate::governance::{CallContext, Lane};

/// The number of rows held, of all lists together.
#[derive(Debug, Clone, Default)]
pub(crate) struct RowBudget(Arc<AtomicUsize>);

impl RowBudget {
    /// No read is started while this many rows are held: a few megabytes.
    pub(crate) const MAX_ROWS: usize = 20_000;

    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn is_full(&self) -> bool {
        self.count() >= Self::MAX_ROWS
    }

    /// Counts the rows of `batch` for as long as they are held; none where too many are held already.
    pub(crate) fn hold<R>(&self, batch: Box<dyn Batch<R>>) -> Option<HeldBatch<R>> {
        (!self.is_full()).then(|| HeldBatch {
            _reservation: self.reserve(batch.len()),
            batch,
        })
    }

    /// Counts `rows` for as long as the claim lives.
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

/// The rows of a finished read, with the count of them.
type ReservedBatch<R> = (Box<dyn Batch<R>>, RowReservation);

/// A read in the background, finished or not. Dropping it cancels the read.
#[derive(Debug)]
pub(crate) struct PrefetchTask<R> {
    /// What the reading costs, the time that it sleeps included.
    call: CallContext,
    task: AbortOnDropHandle<Result<ReservedBatch<R>, Failure>>,
}

impl<R: Send + 'static> PrefetchTask<R> {
    /// Begins to read, on the lane of syncs and with so many windows of a list together. Must be called within a runtime.
    pub(crate) fn spawn<F>(budget: &RowBudget, together: usize, read: impl FnOnce(CallContext) -> F) -> Self
    where
        F: Future<Output = Result<Box<dyn Batch<R>>, Failure>> + Send + 'static,
    {
        let call = CallContext::new(Lane::Sync).with_concurrency(together);
        let (budget, rows) = (budget.clone(), read(call.clone()));
        let task = AbortOnDropHandle::new(tokio::spawn(async move {
            let batch = rows.await?;
            let reserve = budget.reserve(batch.len());
            Ok((batch, reserve))
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
    /// Where the reading fails while it is waited for, as one made for the call would have.
    pub(crate) async fn join(self, call: &CallContext) -> Result<Option<Box<dyn Batch<R>>>, Failure> {
        let (slept_before, asked_at) = (self.call.stats().waited, Instant::now());
        let was_finished = self.is_finished();
        let outcome = self.task.await;
        let slept = self.call.stats().waited.saturating_sub(slept_before);
        call.add_wait(slept.min(asked_at.elapsed()));
        match outcome {
            Ok(Ok((batch, _))) => Ok(Some(batch)),
            Ok(Err(error)) if !was_finished => Err(error),
            Ok(Err(_)) | Err(_) => Ok(None),
        }
    }
}
