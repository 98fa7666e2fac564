//! What every change shares, whether of a level or of a whole resource: its call, its task, and the reason why it was not started.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{Audit, Provisioning, RequestContext};
use crate::governance::model::{Level, Membership};
use crate::governance::{CallContext, GovernanceError, Lane};
use crate::telemetry::traces;

impl Provisioning {
    /// The call of a change: it ends at the caller's deadline or at shutdown, unless a write was started.
    pub(crate) fn call_of(&self, context: &RequestContext) -> CallContext {
        CallContext::new(Lane::Provisioning)
            .with_deadline(context.deadline)
            .with_cancellation(&self.shutdown)
    }

    /// Runs a change in a task of its own, so that it is finished even if the caller disconnects. A write that is not started by
    /// then is not started: `call` is cancelled.
    ///
    /// # Errors
    /// `Abandoned` if the process ends.
    pub(crate) async fn finish<T: Send + 'static>(
        &self,
        call: &CallContext,
        change: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, GovernanceError> {
        let cancel_guard = call.cancel_on_drop();
        let change = traces::in_current_trace(change.in_current_span());
        let done = match self.in_flight.spawn(change).await {
            Ok(done) => done,
            Err(failed) => match failed.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The process ends.
                Err(_) => return Err(GovernanceError::Abandoned),
            },
        };
        drop(cancel_guard);
        Ok(done)
    }

    /// Runs work in a task that [`Self::drain`] waits for.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.in_flight.spawn(traces::in_current_trace(work.in_current_span()));
    }

    /// Cancelled when no further change may be started.
    pub(crate) fn shutdown(&self) -> &CancellationToken {
        &self.shutdown
    }

    /// Replaces `Abandoned` by its cause, if the write was not started because the process is shutting down or because the deadline
    /// passed.
    pub(crate) fn as_shutdown_error(&self, error: GovernanceError, context: &RequestContext) -> GovernanceError {
        match error {
            GovernanceError::Abandoned if self.shutdown.is_cancelled() => GovernanceError::ShuttingDown,
            GovernanceError::Abandoned => context.disconnect_error(),
            other => other,
        }
    }

    /// The level of a recent write of this process to the membership, if there was one.
    pub(crate) fn written_level(&self, membership: Membership) -> Option<&'static Level> {
        self.memberships.recent_writes.get(membership)?.resulting_level
    }

    /// Where changes are recorded.
    pub(crate) fn audit(&self) -> &Arc<Audit> {
        &self.audit
    }

    /// Reports that the result of recording a change may have changed health.
    pub(crate) fn notify_health(&self) {
        self.changed.notify_one();
    }
}
