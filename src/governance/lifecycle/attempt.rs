//! One attempt at a change: its call, which is detached from the caller once a write may have been applied, and its record.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Lifecycle;
use super::record::LifecycleRecord;
use crate::governance::provider::Failure;
use crate::governance::provisioning::WriteTimeouts;
use crate::governance::{CallContext, GovernanceError};

/// The maximum number of writes of one kind in an attempt: a write is repeated if it was seen not to have been applied.
pub(super) const MAX_WRITES: usize = 3;

/// An attempt at a change.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) lifecycle: Arc<Lifecycle>,
    pub(super) call: CallContext,
    pub(super) record: LifecycleRecord,
}

impl Attempt {
    /// The last checks before a write: the caller's deadline and connection, and the audit record.
    ///
    /// # Errors
    /// `DeadlineExceeded`, `Abandoned`, or `AuditUnavailable` if the intent is not on the disk.
    pub(super) async fn preflight(&mut self) -> Result<(), GovernanceError> {
        if self.call.deadline().is_some_and(|deadline| deadline <= Instant::now()) {
            return Err(GovernanceError::DeadlineExceeded);
        }
        if self.call.is_cancelled() {
            return Err(GovernanceError::Abandoned);
        }
        self.record.write_intent().await
    }

    /// After a write: if it may have been applied, the attempt is finished even if the caller disconnects. Returns whether it may
    /// have been applied.
    pub(super) fn sent<T>(&mut self, reply: &Result<T, Failure>) -> bool {
        let may_be_done = !matches!(reply, Err(failure) if !failure.may_have_applied());
        if may_be_done {
            self.call = self.call.detached_until(Instant::now() + self.timeouts().completion);
        }
        may_be_done
    }

    /// Waits, unless the call is cancelled.
    ///
    /// # Errors
    /// `Abandoned`.
    pub(super) async fn wait(&self, time: Duration) -> Result<(), GovernanceError> {
        tokio::select! {
            () = self.call.cancelled() => Err(GovernanceError::Abandoned),
            () = sleep(time) => Ok(()),
        }
    }

    /// The timeouts of writes.
    pub(super) fn timeouts(&self) -> &WriteTimeouts {
        &self.lifecycle.settings.write_timeouts
    }

    /// The delays until a write has become visible.
    pub(super) fn read_back_delays(&self) -> Vec<Duration> {
        self.timeouts().read_back_delays.clone()
    }
}

/// The result of reads that a write follows; given up if the call is cancelled.
///
/// # Errors
/// `Abandoned`, or the failure of `reads`.
pub(super) async fn unless_cancelled<T>(
    call: &CallContext,
    reads: impl Future<Output = Result<T, GovernanceError>>,
) -> Result<T, GovernanceError> {
    tokio::select! {
        biased;
        () = call.cancelled() => Err(GovernanceError::Abandoned),
        read = reads => read,
    }
}
