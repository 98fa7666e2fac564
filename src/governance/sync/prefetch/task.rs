//! Rows that are read before they are asked for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::providers::buildkite::pagination::Batch;
use crate::providers::buildkite::{ApiError, CallContext, Lane};

/// How many rows are held, of all lists together.
#[derive(Debug, Clone, Default)]
pub(crate) struct HeldRows(Arc<AtomicUsize>);

impl HeldRows {
    /// Once so many are held, nothing more is begun: a few megabytes.
    pub(crate) const MOST: usize = 20_000;

    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn is_full(&self) -> bool {
        self.count() >= Self::MOST
    }

    /// Counts the rows of `batch` for as long as they are held; none where too many are held already.
    pub(crate) fn hold<R>(&self, batch: Batch<R>) -> Option<Held<R>> {
        (!self.is_full()).then(|| Held {
            _claim: self.claim(batch.rows.len()),
            batch,
        })
    }

    /// Counts `rows` for as long as the claim lives.
    fn claim(&self, rows: usize) -> Claim {
        self.0.fetch_add(rows, Ordering::Relaxed);
        Claim {
            rows,
            counted_in: self.clone(),
        }
    }
}

/// Rows that are counted for as long as they are held.
#[derive(Debug)]
pub(crate) struct Held<R> {
    pub(crate) batch: Batch<R>,
    _claim: Claim,
}

#[derive(Debug)]
struct Claim {
    rows: usize,
    counted_in: HeldRows,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.counted_in.0.fetch_sub(self.rows, Ordering::Relaxed);
    }
}

/// Rows that are read, or being read. Dropping it ends the reading.
#[derive(Debug)]
pub(crate) struct Reading<R> {
    /// What the reading costs, the time that it sleeps included.
    call: CallContext,
    task: AbortOnDropHandle<Result<(Batch<R>, Claim), ApiError>>,
}

impl<R: Send + 'static> Reading<R> {
    /// Begins to read, on the lane of syncs and with so many windows of a list together. Must be called within a runtime.
    pub(crate) fn begin<F>(held: &HeldRows, together: usize, read: impl FnOnce(CallContext) -> F) -> Self
    where
        F: Future<Output = Result<Batch<R>, ApiError>> + Send + 'static,
    {
        let call = CallContext::new(Lane::Sync).with_concurrency(together);
        let (held, rows) = (held.clone(), read(call.clone()));
        let task = AbortOnDropHandle::new(tokio::spawn(async move {
            let batch = rows.await?;
            let claim = held.claim(batch.rows.len());
            Ok((batch, claim))
        }));
        Self { call, task }
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.task.is_finished()
    }

    /// Waits for the rows on behalf of `call`; none where the reading had failed before anybody waited for it, so that it is
    /// better made again.
    ///
    /// # Errors
    /// Where the reading fails while it is waited for, as one made for the call would have.
    pub(crate) async fn outcome(self, call: &CallContext) -> Result<Option<Batch<R>>, ApiError> {
        let (slept_before, asked_at) = (self.call.stats().waited, Instant::now());
        let had_ended = self.has_ended();
        let outcome = self.task.await;
        let slept = self.call.stats().waited.saturating_sub(slept_before);
        call.add_wait(slept.min(asked_at.elapsed()));
        match outcome {
            Ok(Ok((batch, _))) => Ok(Some(batch)),
            Ok(Err(error)) if !had_ended => Err(error),
            Ok(Err(_)) | Err(_) => Ok(None),
        }
    }
}
