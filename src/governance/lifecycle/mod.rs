//! Changes of whole resources: inviting people, off-boarding them, revoking invitations, and creating and deleting groups.
//!
//! [`accounts`] invites, `off_boarding` removes users, `deletion` deletes any resource and confirms it, `creation` creates, and `action`
//! makes the changes of the provider's actions. `record` is the audit record, `removal_limit` bounds the off-boardings of an hour, and
//! `recorded_removals` finds those that the audit file shows. As for grants, the present state is read
//! before a write, a write is confirmed, one that was started is finished even if the caller disconnects, and requests about one
//! person or one resource are carried out one at a time. What both share is in [`crate::governance::provisioning`].

pub mod accounts;
mod action;
mod attempt;
mod creation;
mod deletion;
mod lookup;
mod off_boarding;
mod recent_invitations;
mod record;
mod recorded_removals;
mod removal_limit;
mod resource_state;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub use accounts::{Account, AccountRequest, RequestedGroup};
pub use record::LifecycleOutcome;

use super::directory::Directory;
use super::model::{LifecycleOperation, ResourceId, ResourceKind, ResourceTypeInfo};
use super::provisioning::{KeyGuard, Provisioning, RecordHead, RequestContext, WriteTimeouts};
use super::sync::Listings;
use super::{CallContext, Change, GovernanceError};
use attempt::Attempt;
use record::{LifecycleRecord, RecordedSubject, operation_name};
use removal_limit::RemovalLimit;
pub(crate) use resource_state::ResourceState;

/// What a request is about: requests about the same subject wait for each other.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Subject {
    /// The person with this address, in lower case.
    Email(String),
    /// A resource.
    Resource(ResourceId),
    /// The resource of this type that is to have this name, in lower case.
    Name(&'static str, String),
}

impl Subject {
    fn of_email(email: &str) -> Self {
        Self::Email(email.to_ascii_lowercase())
    }
}

/// The operator's settings for changes of whole resources.
#[derive(Debug, Clone)]
pub(crate) struct LifecycleSettings {
    /// The timeouts of writes.
    pub(crate) write_timeouts: WriteTimeouts,
    /// The maximum age of the list in which e-mail addresses are looked up.
    pub(crate) directory_max_age: Duration,
    /// The maximum number of people that are removed within an hour.
    pub(crate) off_boarding_limit: u32,
}

/// Changes whole resources, one request for each person or resource at a time.
#[derive(Debug)]
pub struct Lifecycle {
    provisioning: Arc<Provisioning>,
    listings: Arc<Listings>,
    directory: Arc<Directory>,
    settings: LifecycleSettings,
    organization: Arc<str>,
    shared: Arc<ResourceState>,
    removals: RemovalLimit,
}

impl Lifecycle {
    /// Changes the organization. The removals of the last hour that the audit file shows count towards the limit.
    pub(crate) fn new(
        provisioning: Arc<Provisioning>,
        listings: Arc<Listings>,
        directory: Arc<Directory>,
        settings: LifecycleSettings,
        shared: Arc<ResourceState>,
        organization: &str,
        audit_file: Option<&Path>,
    ) -> Self {
        let audit_file = audit_file.filter(|_| provisioning.allows(Change::OffBoarding));
        let users = provisioning.type_of_kind(ResourceKind::User);
        let users = users.and_then(|users| listings.resource_type(users));
        let deletable = users.as_ref().ok().and_then(|users| users.deletable());
        let removal_call = deletable.map_or("", |users| users.deletion_endpoint());
        let (limit, removals) = (settings.off_boarding_limit, Arc::clone(&shared.removals));
        Self {
            removals: RemovalLimit::new(limit, removals, audit_file, organization, removal_call),
            provisioning,
            listings,
            directory,
            settings,
            organization: organization.into(),
            shared,
        }
    }

    /// Succeeds if the operation is offered for resources of the type, and the operator allowed it.
    ///
    /// # Errors
    /// `NotOffered` or `ProvisioningDisabled`.
    fn check_allowed(
        &self,
        resource_type: &'static ResourceTypeInfo,
        operation: LifecycleOperation,
    ) -> Result<(), GovernanceError> {
        match resource_type.lifecycle_change(operation) {
            Some(change) => self.check_change(change),
            None => Err(not_offered(resource_type, operation)),
        }
    }

    fn check_change(&self, change: Change) -> Result<(), GovernanceError> {
        if self.provisioning.allows(change) {
            return Ok(());
        }
        Err(GovernanceError::ProvisioningDisabled { change })
    }

    /// Records a request that was rejected because it is invalid, and returns the reason: `error`, unless the operation is not
    /// allowed at all. `resource_type` and `name` are what could be parsed of it.
    pub async fn record_rejected_request(
        &self,
        operation: LifecycleOperation,
        resource_type: Option<&'static ResourceTypeInfo>,
        name: Option<String>,
        context: RequestContext,
        error: GovernanceError,
    ) -> GovernanceError {
        let allowed = resource_type.map(|resource_type| self.check_allowed(resource_type, operation));
        let error = allowed.and_then(Result::err).unwrap_or(error);
        let call = self.provisioning.call_of(&context);
        let subject = RecordedSubject {
            resource_type,
            id: None,
            name,
        };
        let record = self.record(operation, subject, context, call);
        record.write_outcome(Err(&error)).await;
        error
    }

    fn record(
        &self,
        operation: LifecycleOperation,
        subject: RecordedSubject,
        context: RequestContext,
        call: CallContext,
    ) -> LifecycleRecord {
        let operation = operation_name(operation, subject.resource_type);
        self.record_of(operation, subject, context, call)
    }

    fn record_of(
        &self,
        operation: String,
        subject: RecordedSubject,
        context: RequestContext,
        call: CallContext,
    ) -> LifecycleRecord {
        let audit = Arc::clone(self.provisioning.audit());
        let head = RecordHead::new(audit, context, call);
        LifecycleRecord::new(head, Arc::clone(&self.organization), operation, subject)
    }

    /// Waits for exclusive access to the subject, in the order of arrival.
    async fn lock(&self, subject: Subject, call: &CallContext) -> Result<KeyGuard, GovernanceError> {
        if call.is_cancelled() {
            return Err(GovernanceError::Abandoned);
        }
        tokio::select! {
            biased;
            () = call.cancelled() => Err(GovernanceError::Abandoned),
            guard = self.shared.locks.acquire(subject, call.deadline()) => guard.ok_or(GovernanceError::DeadlineExceeded),
        }
    }

    /// Records an attempt that ends before its task begins.
    async fn refuse(
        &self,
        record: LifecycleRecord,
        context: &RequestContext,
        error: GovernanceError,
    ) -> GovernanceError {
        let error = self.provisioning.as_shutdown_error(error, context);
        record.write_outcome(Err(&error)).await;
        error
    }

    /// Runs an attempt in a task of its own, and records its outcome.
    async fn conclude<T, F>(
        self: &Arc<Self>,
        call: &CallContext,
        context: RequestContext,
        guard: KeyGuard,
        work: F,
    ) -> Result<T, GovernanceError>
    where
        T: Send + 'static,
        F: Future<Output = (Result<(T, LifecycleOutcome), GovernanceError>, Attempt)> + Send + 'static,
    {
        let lifecycle = Arc::clone(self);
        let change = async move {
            let _exclusive = guard;
            let (outcome, attempt) = work.await;
            let outcome = outcome.map_err(|error| lifecycle.provisioning.as_shutdown_error(error, &context));
            let recorded = outcome.as_ref().map(|(_, outcome)| *outcome);
            attempt.record.write_outcome(recorded).await;
            // The result of writing the record is part of health.
            lifecycle.provisioning.notify_health();
            outcome.map(|(value, _)| value)
        };
        self.provisioning.finish(call, change).await?
    }
}

fn not_offered(resource_type: &'static ResourceTypeInfo, operation: LifecycleOperation) -> GovernanceError {
    GovernanceError::NotOffered {
        resource_type,
        operation: match operation {
            LifecycleOperation::Invite => "invited",
            LifecycleOperation::Create => "created",
            LifecycleOperation::Delete => "deleted",
        },
    }
}
