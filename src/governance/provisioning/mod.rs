//! Grants and revokes: the role held now is read, the table decides, one change is made, and it is confirmed by what
//! Buildkite echoes or by reading again.
//!
//! [`plan`] is the table, [`execute`] the reading, writing and confirming, [`rejected_write`] what a refused write means,
//! [`keyed_lock`] the order of calls about one pair, `principal` who is meant, [`protection`] what is never touched, `audit` the
//! record. A write that was begun is finished and recorded even if the caller hangs up, so it runs in a task of its own; a
//! caller that is gone before the write begins has changed nothing.

mod audit;
mod disconnect;
pub mod display_names;
pub mod execute;
pub mod keyed_lock;
mod outcome;
pub mod plan;
mod preview;
mod principal;
pub mod protection;
pub mod read_back;
pub mod recent_writes;
pub mod rejected_write;
#[cfg(test)]
mod tests;
pub mod timeouts;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use audit::AuditSink;
pub use disconnect::OwnToken;
pub use keyed_lock::Membership;
pub use outcome::{Outcome, ProvisioningResult};
pub use plan::{MaintainerRevoke, OperationKind, Plan, Request, Write, decide};
pub use preview::Preview;
pub use protection::Protected;
pub(crate) use protection::ProtectedNames;
pub use timeouts::WriteTimeouts;

use super::{EntitlementId, Governance, GovernanceError, GrantId, Principal};
use crate::providers::buildkite::{CallContext, Lane};
use audit::{Attempt, Audit, AuditRecord};
use display_names::DisplayNames;
use execute::Operation;
use keyed_lock::KeyedLock;
use principal::Directory;
use protection::Protections;
use recent_writes::RecentWrites;

/// The sink that is a file.
pub(crate) fn file_sink(path: PathBuf) -> Arc<dyn AuditSink> {
    Audit::file(path)
}

/// What provisioning keeps between calls.
#[derive(Debug, Default)]
pub(crate) struct Provisioning {
    membership_locks: KeyedLock,
    recent_writes: RecentWrites,
    directory: Directory,
    protections: Protections,
    pub(crate) display_names: DisplayNames,
    audit: Arc<Audit>,
    in_flight: TaskTracker,
    shutdown: CancellationToken,
}

impl Provisioning {
    /// Records on the log and in `sink`; `news` is notified when health has something to say.
    pub(crate) fn new(sink: Option<Arc<dyn AuditSink>>, append: Duration, news: Arc<Notify>) -> Self {
        Self {
            audit: Arc::new(Audit::new(sink, append, news)),
            ..Self::default()
        }
    }
}

/// The caller of a request, and its deadlines.
#[derive(Debug, Clone)]
pub struct RequestContext {
    /// The caller, as the audit record names it.
    pub caller: Arc<str>,
    /// The name of the request in both sides' records.
    pub request_id: String,
    /// When the caller stops waiting.
    pub deadline: Option<Instant>,
    /// When the call ends as `DEADLINE_EXCEEDED`: a little earlier.
    pub answer_by: Option<Instant>,
}

impl RequestContext {
    /// Why the caller does not wait any more: it was answered that its time is over, or it hung up.
    fn disconnect_error(&self) -> GovernanceError {
        if self.answer_by.is_some_and(|answer_by| answer_by <= Instant::now()) {
            GovernanceError::DeadlineExceeded
        } else {
            GovernanceError::Abandoned
        }
    }
}

/// What could be read of a request that is not well formed.
#[derive(Debug, Clone)]
pub struct MalformedRequest {
    /// The operation.
    pub operation: OperationKind,
    /// The entitlement, where it could be read.
    pub entitlement: Option<EntitlementId>,
    /// The principal, where it could be read.
    pub principal: Option<Principal>,
}

impl Governance {
    /// Grants the entitlement to `principal`.
    ///
    /// # Errors
    /// Each leaves the caller knowing that nothing may be claimed: see the design's table.
    pub async fn grant(
        self: &Arc<Self>,
        entitlement: EntitlementId,
        principal: Principal,
        context: RequestContext,
    ) -> Result<ProvisioningResult, GovernanceError> {
        self.provision(Request::Grant(entitlement.role), entitlement, principal, context)
            .await
    }

    /// Revokes the entitlement from `principal`.
    ///
    /// # Errors
    /// As for a grant.
    pub async fn revoke(
        self: &Arc<Self>,
        entitlement: EntitlementId,
        principal: Principal,
        context: RequestContext,
    ) -> Result<ProvisioningResult, GovernanceError> {
        self.provision(Request::Revoke(entitlement.role), entitlement, principal, context)
            .await
    }

    /// Puts a request on record that was refused because it is not well formed, and returns `error`, the reason.
    pub async fn record_rejected_request(
        &self,
        request: MalformedRequest,
        context: RequestContext,
        error: GovernanceError,
    ) -> GovernanceError {
        let call = CallContext::new(Lane::Provisioning);
        let MalformedRequest {
            operation,
            entitlement,
            principal,
        } = request;
        let record = self.record(operation, entitlement, principal, context, call);
        let refused = Err(error);
        record.write_outcome(&refused).await;
        refused.err().unwrap_or(GovernanceError::Abandoned)
    }

    /// Why audit records cannot be written, if they cannot.
    #[must_use]
    pub fn audit_error(&self) -> Option<String> {
        self.provisioning.audit.error()
    }

    /// Where audit records cannot be written, finds out whether they can be again.
    pub(crate) async fn recheck_audit(&self) {
        self.provisioning.audit.recheck().await;
    }

    /// Starts no further write: requests that wait for a lock or for the budget end as `ShuttingDown`.
    pub fn stop_accepting(&self) {
        self.provisioning.shutdown.cancel();
    }

    /// Resolves once nothing new is begun.
    pub async fn ending(&self) {
        self.provisioning.shutdown.cancelled().await;
    }

    /// Resolves once every grant and revoke that was begun is finished, also those whose caller is gone.
    pub async fn drain(&self) {
        self.provisioning.in_flight.close();
        self.provisioning.in_flight.wait().await;
    }

    async fn provision(
        self: &Arc<Self>,
        request: Request,
        entitlement: EntitlementId,
        principal: Principal,
        context: RequestContext,
    ) -> Result<ProvisioningResult, GovernanceError> {
        let call = CallContext::new(Lane::Provisioning)
            .with_deadline(context.deadline)
            .with_cancellation(&self.provisioning.shutdown);
        let mut record = self.record(
            request.operation(),
            Some(entitlement),
            Some(principal.clone()),
            context.clone(),
            call.clone(),
        );
        let (membership, guard) = match self.lock_membership(entitlement, &principal, &mut record, &call).await {
            Ok(guard) => guard,
            Err(error) => {
                let failed = Err(self.as_shutdown_error(error, &context));
                record.write_outcome(&failed).await;
                return Err(failed.err().unwrap_or(GovernanceError::Abandoned));
            }
        };
        let cancel_guard = call.cancel_on_drop();
        let governance = Arc::clone(self);
        let task = self.provisioning.in_flight.spawn(async move {
            let _turn = guard;
            let user_label = governance.provisioning.display_names.user_label(&principal);
            let outcome = Operation::new(&governance, membership, user_label, request, call, &mut record)
                .run()
                .await;
            let outcome = outcome.map_err(|error| governance.as_shutdown_error(error, &context));
            let before = record.before();
            record.write_outcome(&outcome).await;
            // Whether the record could be written is part of health.
            governance.recorder.notify();
            (outcome, before)
        });
        let (outcome, before) = match task.await {
            Ok(done) => done,
            Err(failed) => match failed.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The process ends.
                Err(_) => (Err(GovernanceError::Abandoned), None),
            },
        };
        drop(cancel_guard);
        Ok(ProvisioningResult {
            grant: GrantId {
                entitlement,
                user: membership.user,
            },
            outcome: outcome?,
            before,
        })
    }

    fn record(
        &self,
        operation: OperationKind,
        entitlement: Option<EntitlementId>,
        principal: Option<Principal>,
        context: RequestContext,
        call: CallContext,
    ) -> AuditRecord {
        let display_names = &self.provisioning.display_names;
        let attempt = Attempt {
            context,
            operation,
            entitlement,
            principal,
            team_slug: entitlement.and_then(|entitlement| display_names.slug(entitlement.team)),
        };
        AuditRecord::new(Arc::clone(&self.provisioning.audit), attempt, call)
    }

    /// Acquires the membership lock before spawning, so requests run in arrival order and a caller that disconnects while queued
    /// has no effect.
    async fn lock_membership(
        &self,
        entitlement: EntitlementId,
        principal: &Principal,
        record: &mut AuditRecord,
        call: &CallContext,
    ) -> Result<(Membership, keyed_lock::MembershipGuard), GovernanceError> {
        if !self.settings.provisioning {
            return Err(GovernanceError::ProvisioningDisabled);
        }
        if call.is_cancelled() {
            return Err(GovernanceError::ShuttingDown);
        }
        let user = self.resolve_principal(principal, call).await?;
        record.set_user(user, self.provisioning.display_names.email(user));
        let membership = Membership {
            team: entitlement.team,
            user,
        };
        let guard = tokio::select! {
            biased;
            () = call.cancelled() => return Err(GovernanceError::ShuttingDown),
            guard = self.provisioning.membership_locks.acquire(membership, call.deadline()) => guard,
        };
        Ok((membership, guard.ok_or(GovernanceError::DeadlineExceeded)?))
    }

    /// A write that was not begun because the process ends, or because its caller's time was over, says so rather than that the
    /// caller is gone.
    fn as_shutdown_error(&self, error: GovernanceError, context: &RequestContext) -> GovernanceError {
        match error {
            GovernanceError::Abandoned if self.provisioning.shutdown.is_cancelled() => GovernanceError::ShuttingDown,
            GovernanceError::Abandoned => context.disconnect_error(),
            other => other,
        }
    }
}
