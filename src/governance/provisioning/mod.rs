//! Grants and revokes: the level that is held is read, the plan decides, one change is made, and it is confirmed by the response
//! or by reading again.
//!
//! [`plan`] is the table, `execute` reads, writes and confirms, `rejected_write` decides what a rejected write means, `keyed_lock`
//! orders requests about one membership, `principal` resolves the principal, [`protection`] holds the guards, `audit` the record.
//! A write that was begun is finished and recorded even if the caller disconnects, so it runs in a task of its own; a caller that
//! disconnects before the write begins has changed nothing.

mod audit;
mod disconnect;
mod execute;
mod keyed_lock;
mod outcome;
pub mod plan;
mod preview;
mod principal;
pub mod protection;
mod read_back;
mod recent_writes;
mod rejected_write;
#[cfg(test)]
mod tests;
mod timeouts;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use audit::AuditSink;
pub use outcome::{Outcome, ProvisioningResult};
pub use plan::{MaintainerRevoke, OperationKind, Plan, Request, Write};
pub use preview::Preview;
pub use protection::Protected;
pub(crate) use protection::ProtectedNames;
pub use timeouts::WriteTimeouts;

use super::directory::Directory;
use super::model::{EntitlementId, GrantId, Level, Membership, Principal, ResourceId};
use super::provider::{Assignable, Provider, ResourceType};
use super::sync::Listings;
use super::{CallContext, GovernanceError, Lane};
use audit::{Attempt, Audit, AuditRecord};
use execute::Operation;
use keyed_lock::KeyedLock;
use protection::Protections;
use recent_writes::RecentWrites;

/// The sink that is a file.
pub(crate) fn file_sink(path: PathBuf) -> Arc<dyn AuditSink> {
    Audit::file(path)
}

/// What an operator decides about provisioning.
#[derive(Debug, Clone)]
pub(crate) struct ProvisioningSettings {
    /// Whether grants and revokes are carried out.
    pub(crate) enabled: bool,
    /// What becomes of a maintainer whose level is revoked.
    pub(crate) maintainer_revoke: MaintainerRevoke,
    /// Resources and users that no grant or revoke changes.
    pub(crate) protected: Protected,
    /// How long writes are given.
    pub(crate) write_timeouts: WriteTimeouts,
    /// How old the lists may be in which e-mails and protected names are looked up.
    pub(crate) directory_max_age: Duration,
    /// How old health's evidence may be.
    pub(crate) health_max_age: Duration,
}

/// Grants and revokes levels, one request for each membership at a time.
#[derive(Debug)]
pub struct Provisioning {
    provider: Arc<dyn Provider>,
    listings: Arc<Listings>,
    directory: Arc<Directory>,
    settings: ProvisioningSettings,
    membership_locks: KeyedLock,
    recent_writes: RecentWrites,
    protections: Protections,
    audit: Arc<Audit>,
    /// Notified when health may have changed.
    changed: Arc<Notify>,
    in_flight: TaskTracker,
    shutdown: CancellationToken,
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

impl Provisioning {
    /// Changes what `provider` has. Records on the log and in `sink`; `changed` is notified when health may have changed.
    pub(crate) fn new(
        provider: Arc<dyn Provider>,
        listings: Arc<Listings>,
        directory: Arc<Directory>,
        settings: ProvisioningSettings,
        sink: Option<Arc<dyn AuditSink>>,
        changed: Arc<Notify>,
    ) -> Self {
        Self {
            provider,
            listings,
            directory,
            audit: Arc::new(Audit::new(sink, settings.write_timeouts.append, Arc::clone(&changed))),
            settings,
            membership_locks: KeyedLock::default(),
            recent_writes: RecentWrites::default(),
            protections: Protections::default(),
            changed,
            in_flight: TaskTracker::new(),
            shutdown: CancellationToken::new(),
        }
    }

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
        self.provision(Request::Grant(entitlement.level), entitlement, principal, context)
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
        self.provision(Request::Revoke(entitlement.level), entitlement, principal, context)
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

    /// Whether grants and revokes are carried out.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.settings.enabled
    }

    /// Why audit records cannot be written, if they cannot.
    #[must_use]
    pub fn audit_error(&self) -> Option<String> {
        self.audit.error()
    }

    /// Where audit records cannot be written, finds out whether they can be again.
    pub(crate) async fn recheck_audit(&self) {
        self.audit.recheck().await;
    }

    /// Starts no further write: requests that wait for a lock or for the budget end as `ShuttingDown`.
    pub fn stop_accepting(&self) {
        self.shutdown.cancel();
    }

    /// Resolves once nothing new is begun.
    pub async fn ending(&self) {
        self.shutdown.cancelled().await;
    }

    /// Resolves once every grant and revoke that was begun is finished, also those whose caller is gone.
    pub async fn drain(&self) {
        self.in_flight.close();
        self.in_flight.wait().await;
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
            .with_cancellation(&self.shutdown);
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
        let provisioning = Arc::clone(self);
        let task = self.in_flight.spawn(async move {
            let _exclusive = guard;
            let outcome = provisioning
                .carry_out(membership, &principal, request, call, &mut record)
                .await;
            let outcome = outcome.map_err(|error| provisioning.as_shutdown_error(error, &context));
            let before = record.before();
            record.write_outcome(&outcome).await;
            // Whether the record could be written is part of health.
            provisioning.changed.notify_one();
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
                principal: membership.principal,
            },
            outcome: outcome?,
            before,
        })
    }

    async fn carry_out(
        &self,
        membership: Membership,
        principal: &Principal,
        request: Request,
        call: CallContext,
        record: &mut AuditRecord,
    ) -> Result<Outcome, GovernanceError> {
        let seam = self.assignable(membership.resource)?;
        let user_label = self.directory.user_label(principal);
        Operation::new(self, seam, membership, user_label, request, call, record)
            .run()
            .await
    }

    /// The resource's type, and how its levels are read and written.
    fn assignable(&self, resource: ResourceId) -> Result<(&dyn ResourceType, &dyn Assignable), GovernanceError> {
        let resources = self.listings.resource_type(resource.resource_type)?;
        let levels = resources.assignable().ok_or_else(|| GovernanceError::Invalid {
            field: "entitlement.id",
            problem: format!("the levels of a {} cannot be changed", resource.resource_type),
        })?;
        Ok((resources.as_ref(), levels))
    }

    /// The level that takes the place of a revoked one; `None` if it is removed.
    fn level_instead(&self, resource: ResourceId, request: Request) -> Option<&'static Level> {
        match (request, self.settings.maintainer_revoke) {
            (Request::Revoke(level), MaintainerRevoke::Demote) => resource.resource_type.level_below(level),
            _ => None,
        }
    }

    fn record(
        &self,
        operation: OperationKind,
        entitlement: Option<EntitlementId>,
        principal: Option<Principal>,
        context: RequestContext,
        call: CallContext,
    ) -> AuditRecord {
        let attempt = Attempt {
            context,
            operation,
            entitlement,
            principal,
            team_slug: entitlement.and_then(|entitlement| self.directory.handle(entitlement.resource)),
        };
        AuditRecord::new(Arc::clone(&self.audit), attempt, call)
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
        if !self.settings.enabled {
            return Err(GovernanceError::ProvisioningDisabled);
        }
        if call.is_cancelled() {
            return Err(GovernanceError::ShuttingDown);
        }
        let principal = self.resolve_principal(principal, call).await?;
        record.set_user(principal, self.directory.handle(principal));
        let membership = Membership {
            resource: entitlement.resource,
            principal,
        };
        let guard = tokio::select! {
            biased;
            () = call.cancelled() => return Err(GovernanceError::ShuttingDown),
            guard = self.membership_locks.acquire(membership, call.deadline()) => guard,
        };
        Ok((membership, guard.ok_or(GovernanceError::DeadlineExceeded)?))
    }

    /// A write that was not begun because the process ends, or because its caller's time was over, says so rather than that the
    /// caller is gone.
    fn as_shutdown_error(&self, error: GovernanceError, context: &RequestContext) -> GovernanceError {
        match error {
            GovernanceError::Abandoned if self.shutdown.is_cancelled() => GovernanceError::ShuttingDown,
            GovernanceError::Abandoned => context.disconnect_error(),
            other => other,
        }
    }
}
