//! Grants and revokes. A request reads the held level, plans, sends one write, and confirms it by the response or by another read.
//!
//! [`plan`] is the decision table, `execute` reads, writes and confirms, `rejected_write` interprets a rejected write, `keyed_lock`
//! serialises requests about one membership, `principal` resolves the principal, [`protection`] contains the protections, and
//! `audit` the record. A write that was started is finished and recorded even if the caller disconnects, so it runs in a task of
//! its own. A caller that disconnects before the write starts causes no change.

mod audit;
mod change;
mod disconnect;
mod execute;
mod keyed_lock;
mod membership_state;
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
mod write_timeouts;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, Span};

pub use audit::{AuditSink, AuditWriters};
pub use outcome::{Outcome, ProvisioningResult};
pub use plan::{MaintainerRevoke, OperationKind, Plan, Request, Write};
pub use preview::Preview;
pub(crate) use protection::ProtectedNames;
pub use protection::{Protected, ProtectedResource};
pub use write_timeouts::WriteTimeouts;

use super::directory::Directory;
use super::model::{EntitlementId, GrantId, Level, Membership, Principal, ResourceId, ResourceTypeInfo};
use super::provider::{Assignable, Labels, Provider, ResourceType};
use super::sync::Listings;
use super::{AllowedChanges, CallContext, Change, GovernanceError, Lane};
use crate::telemetry::traces::OperationSpan;
pub(crate) use audit::{Audit, AuditWriter, Line, RecordHead};
use audit::{AuditRecord, RecordedRequest};
use execute::Operation;
pub use keyed_lock::GuardLock;
pub(crate) use keyed_lock::{KeyGuard, KeyedLock};
pub(crate) use membership_state::MembershipState;
use protection::Protections;

/// The operator's settings for provisioning.
#[derive(Debug, Clone)]
pub(crate) struct ProvisioningSettings {
    /// The kinds of changes that are carried out.
    pub(crate) allowed: AllowedChanges,
    /// What happens to a maintainer whose level is revoked.
    pub(crate) maintainer_revoke: MaintainerRevoke,
    /// Resources and users that no grant or revoke changes.
    pub(crate) protected: Protected,
    /// The timeouts of writes.
    pub(crate) write_timeouts: WriteTimeouts,
    /// The maximum age of the lists in which e-mail addresses and protected names are looked up.
    pub(crate) directory_max_age: Duration,
    /// The maximum age of the evidence of health.
    pub(crate) health_max_age: Duration,
}

/// Grants and revokes levels, one request for each membership at a time.
#[derive(Debug)]
pub struct Provisioning {
    provider: Arc<dyn Provider>,
    listings: Arc<Listings>,
    directory: Arc<Directory>,
    settings: ProvisioningSettings,
    memberships: Arc<MembershipState>,
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
    /// The caller's name in the audit record.
    pub caller: Arc<str>,
    /// The id of the request in the records of caller and connector.
    pub request_id: String,
    /// The caller's deadline.
    pub deadline: Option<Instant>,
    /// When the call ends as `DEADLINE_EXCEEDED`: shortly before the caller's deadline.
    pub answer_by: Option<Instant>,
}

impl RequestContext {
    /// The context of the log lines of a change: the id of its request. At the highest level, so that a warning has it even where
    /// the log has warnings only.
    pub(crate) fn log_span(&self) -> Span {
        tracing::error_span!("change", request_id = self.request_id)
    }

    /// Why the caller no longer waits: its deadline passed, or it disconnected.
    pub(crate) fn disconnect_error(&self) -> GovernanceError {
        if self.answer_by.is_some_and(|answer_by| answer_by <= Instant::now()) {
            GovernanceError::DeadlineExceeded
        } else {
            GovernanceError::Abandoned
        }
    }
}

/// The parts of an invalid request that could be parsed.
#[derive(Debug, Clone)]
pub struct MalformedRequest {
    /// The operation.
    pub operation: OperationKind,
    /// The entitlement, if it could be parsed.
    pub entitlement: Option<EntitlementId>,
    /// The principal, if it could be parsed.
    pub principal: Option<Principal>,
}

impl Provisioning {
    /// Changes the organization of `provider`. Records in `audit`; `changed` is notified when health may have changed.
    pub(crate) fn new(
        provider: Arc<dyn Provider>,
        listings: Arc<Listings>,
        directory: Arc<Directory>,
        settings: ProvisioningSettings,
        memberships: Arc<MembershipState>,
        audit: Audit,
        changed: Arc<Notify>,
    ) -> Self {
        Self {
            provider,
            listings,
            directory,
            audit: Arc::new(audit),
            settings,
            memberships,
            protections: Protections::default(),
            changed,
            in_flight: TaskTracker::new(),
            shutdown: CancellationToken::new(),
        }
    }

    /// Grants the entitlement to `principal`.
    ///
    /// # Errors
    /// After any error the caller must not assume that the level is held: see the variants of [`GovernanceError`].
    pub async fn grant(
        self: &Arc<Self>,
        entitlement: EntitlementId,
        principal: Principal,
        context: RequestContext,
    ) -> Result<ProvisioningResult, GovernanceError> {
        let log_span = context.log_span();
        let grant = self.provision(Request::Grant(entitlement.level), entitlement, principal, context);
        Box::pin(grant).instrument(log_span).await
    }

    /// Revokes the entitlement from `principal`.
    ///
    /// # Errors
    /// After any error the caller must not assume that the level is gone: see the variants of [`GovernanceError`].
    pub async fn revoke(
        self: &Arc<Self>,
        entitlement: EntitlementId,
        principal: Principal,
        context: RequestContext,
    ) -> Result<ProvisioningResult, GovernanceError> {
        let log_span = context.log_span();
        let revoke = self.provision(Request::Revoke(entitlement.level), entitlement, principal, context);
        Box::pin(revoke).instrument(log_span).await
    }

    /// Records a request that was rejected because it is invalid, and returns `error`, the reason.
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

    /// Whether changes of this kind are carried out.
    #[must_use]
    pub fn allows(&self, change: Change) -> bool {
        self.settings.allowed.allows(change)
    }

    /// The error that prevents audit records from being written, if any.
    #[must_use]
    pub fn audit_error(&self) -> Option<String> {
        self.audit.error()
    }

    /// After a failed audit write, checks whether records can be written again.
    pub(crate) async fn recheck_audit(&self) {
        self.audit.recheck().await;
    }

    /// Prevents further writes: requests that wait for a lock or for the budget end as `ShuttingDown`.
    pub fn stop_accepting(&self) {
        self.shutdown.cancel();
    }

    /// Resolves once [`Self::stop_accepting`] was called.
    pub async fn ending(&self) {
        self.shutdown.cancelled().await;
    }

    /// Resolves once every started grant and revoke is finished, including those whose caller disconnected.
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
        let call = self.call_of(&context);
        let mut record = self.record(
            request.operation(),
            Some(entitlement),
            Some(principal.clone()),
            context.clone(),
            call.clone(),
        );
        let decision = OperationSpan::decision();
        let locked = decision.run(self.lock_membership(entitlement, &principal, &mut record, &call));
        let (membership, guard) = match locked.await {
            Ok(guard) => guard,
            Err(error) => {
                let failed = Err(self.as_shutdown_error(error, &context));
                record.write_outcome(&failed).await;
                return Err(failed.err().unwrap_or(GovernanceError::Abandoned));
            }
        };
        let provisioning = Arc::clone(self);
        let task_call = call.clone();
        let change = async move {
            let _exclusive = guard;
            let outcome = provisioning
                .carry_out(membership, &principal, request, task_call, &mut record, decision)
                .await;
            let outcome = outcome.map_err(|error| provisioning.as_shutdown_error(error, &context));
            let before = record.before();
            record.write_outcome(&outcome).await;
            // The result of writing the record is part of health.
            provisioning.changed.notify_one();
            (outcome, before)
        };
        let (outcome, before) = self.finish(&call, change).await?;
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
        decision: OperationSpan,
    ) -> Result<Outcome, GovernanceError> {
        let assignable = self.assignable(membership.resource)?;
        let labels = self.labels(membership, principal);
        Operation::new(self, assignable, membership, labels, request, call, record)
            .run(decision)
            .await
    }

    /// The names of the resource and of the requested principal in messages.
    fn labels(&self, membership: Membership, principal: &Principal) -> Labels {
        Labels {
            resource: self.directory.resource_label(membership.resource),
            principal: self.directory.principal_label(principal),
        }
    }

    /// The resource's type, and access to its levels.
    ///
    /// # Errors
    /// `NotOffered` if the levels of the type cannot be changed.
    fn assignable(&self, resource: ResourceId) -> Result<(&dyn ResourceType, &dyn Assignable), GovernanceError> {
        let resources = self.listings.resource_type(resource.resource_type)?;
        let levels = resources.assignable();
        let levels = levels.ok_or_else(|| not_offered(resource.resource_type))?;
        Ok((resources.as_ref(), levels))
    }

    /// Rejects a change of the levels of `resource` that the operator did not allow, or that no setting allows.
    fn check_allowed(&self, resource: ResourceId) -> Result<(), GovernanceError> {
        match resource.resource_type.change {
            Some(change) if self.allows(change) => Ok(()),
            Some(change) => Err(GovernanceError::ProvisioningDisabled { change }),
            None => Err(not_offered(resource.resource_type)),
        }
    }

    /// The level that replaces a revoked one; `None` if it is removed.
    fn replacement_level(&self, levels: &dyn Assignable, request: Request) -> Option<&'static Level> {
        match request {
            Request::Revoke(level) => levels.replacement(level, self.settings.maintainer_revoke),
            Request::Grant(_) => None,
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
        let recorded = RecordedRequest {
            operation,
            entitlement,
            principal,
            resource_name: entitlement.and_then(|entitlement| self.directory.handle(entitlement.resource)),
        };
        AuditRecord::new(RecordHead::new(Arc::clone(&self.audit), context, call), recorded)
    }

    /// Acquires the membership lock before spawning, so requests run in arrival order and a caller that disconnects while queued
    /// has no effect.
    async fn lock_membership(
        &self,
        entitlement: EntitlementId,
        principal: &Principal,
        record: &mut AuditRecord,
        call: &CallContext,
    ) -> Result<(Membership, KeyGuard), GovernanceError> {
        self.check_allowed(entitlement.resource)?;
        if call.is_cancelled() {
            return Err(GovernanceError::ShuttingDown);
        }
        let principal = self.resolve_principal(principal, call).await?;
        record.set_principal(principal, self.directory.handle(principal));
        let membership = Membership {
            resource: entitlement.resource,
            principal,
        };
        let guard = tokio::select! {
            biased;
            () = call.cancelled() => return Err(GovernanceError::ShuttingDown),
            guard = self.memberships.locks.acquire(membership, call.deadline()) => guard,
        };
        Ok((membership, guard.ok_or(GovernanceError::DeadlineExceeded)?))
    }
}

fn not_offered(resource_type: &'static ResourceTypeInfo) -> GovernanceError {
    GovernanceError::NotOffered {
        resource_type,
        operation: "granted or revoked",
    }
}
