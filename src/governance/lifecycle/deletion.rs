//! Deletes a resource, and confirms that it is gone.
//!
//! | result of the request | continuation |
//! | --- | --- |
//! | 2xx | read until the resource is not shown any more |
//! | no connection | nothing was sent: read, and send it again |
//! | no response, 5xx, truncated body | may have been applied: read; if the resource is still there, send it again |
//! | 404, 409, 422 | the resource may be gone already: read; if it is still there, the rejection stands |
//! | 403, 401, no budget | return the error |

use std::sync::Arc;

use super::attempt::{Attempt, MAX_WRITES, unless_cancelled};
use super::record::RecordedSubject;
use super::{Lifecycle, LifecycleOutcome, Subject, not_offered};
use crate::governance::GovernanceError;
use crate::governance::model::{LifecycleOperation, Resource, ResourceId, ResourceKind};
use crate::governance::provider::{Deletable, Failure, FailureClass};
use crate::governance::provisioning::RequestContext;
use crate::telemetry::traces::OperationSpan;

impl Lifecycle {
    /// Deletes the resource. One that is proven absent is a success.
    ///
    /// # Errors
    /// After any error the caller must not assume that the resource is gone: see the variants of [`GovernanceError`].
    pub async fn delete(
        self: &Arc<Self>,
        resource: ResourceId,
        context: RequestContext,
    ) -> Result<LifecycleOutcome, GovernanceError> {
        let call = self.provisioning.call_of(&context);
        let subject = RecordedSubject {
            resource_type: Some(resource.resource_type),
            id: Some(resource),
            name: self.directory.handle(resource),
        };
        let record = self.record(LifecycleOperation::Delete, subject, context.clone(), call.clone());
        let guard = match self.check_allowed(resource.resource_type, LifecycleOperation::Delete) {
            Ok(()) => self.lock(Subject::Resource(resource), &call).await,
            Err(error) => Err(error),
        };
        let guard = match guard {
            Ok(guard) => guard,
            Err(error) => return Err(self.refuse(record, &context, error).await),
        };
        let mut attempt = Attempt {
            lifecycle: Arc::clone(self),
            call: call.clone(),
            record,
        };
        let work = async move {
            let outcome = attempt.delete(resource).await;
            (outcome.map(|outcome| (outcome, outcome)), attempt)
        };
        self.conclude(&call, context, guard, Box::pin(work)).await
    }
}

impl Attempt {
    async fn delete(&mut self, resource: ResourceId) -> Result<LifecycleOutcome, GovernanceError> {
        let resources = Arc::clone(self.lifecycle.listings.resource_type(resource.resource_type)?);
        let deletable = resources.deletable();
        let deletable = deletable.ok_or_else(|| not_offered(resource.resource_type, LifecycleOperation::Delete))?;
        if resource.resource_type.kind == ResourceKind::User {
            return self.off_board(resource, resources.as_ref(), deletable).await;
        }
        let call = self.call.clone();
        let found = unless_cancelled(&call, self.deletable_resource(deletable, resource));
        let Some(found) = OperationSpan::decision().run(found).await? else {
            return Ok(LifecycleOutcome::AlreadyAbsent);
        };
        // The grants of a group are read ahead within a sync, and must not be served after the group is gone.
        self.lifecycle.listings.invalidate_resource(resource);
        let outcome = self.delete_until_absent(deletable, resource, &mut false).await;
        // Also after an error, as the resource may be gone.
        self.lifecycle.listings.invalidate_resource(resource);
        let outcome = outcome?;
        // It is absent now. Reading what it carried again would need another proof of that.
        self.lifecycle.listings.remove_resource(resource);
        if let Some(email) = found
            .handle
            .filter(|_| resource.resource_type.kind == ResourceKind::PendingUser)
        {
            self.lifecycle.shared.recent_invitations.forget(&email);
        }
        Ok(outcome)
    }

    /// The resource, if it is there and nothing forbids its deletion; `None` if it is proven absent.
    pub(super) async fn deletable_resource(
        &mut self,
        deletable: &dyn Deletable,
        resource: ResourceId,
    ) -> Result<Option<Resource>, GovernanceError> {
        let Some(found) = deletable.find(resource.id, &self.call).await? else {
            return Ok(None);
        };
        self.record.set_name(found.handle.as_deref());
        let provisioning = &self.lifecycle.provisioning;
        provisioning.guard_protected(&[resource], &self.call).await?;
        deletable.guard_deletion(&found, &self.call).await?;
        Ok(Some(found))
    }

    /// Sends the deletion, and reads until the resource is gone. `may_be_done` is set as soon as a deletion was accepted or may
    /// have been applied, and cleared when reads show that one of which the reply was lost was not applied.
    pub(super) async fn delete_until_absent(
        &mut self,
        deletable: &dyn Deletable,
        resource: ResourceId,
        may_be_done: &mut bool,
    ) -> Result<LifecycleOutcome, GovernanceError> {
        let id = resource.id;
        let (mut last_error, mut was_sent): (Option<Failure>, bool) = (None, false);
        for _ in 0..MAX_WRITES {
            self.preflight().await?;
            let reply = OperationSpan::write().run(deletable.delete(id, &self.call)).await;
            *may_be_done = self.sent(&reply);
            let failure = match reply {
                Ok(()) => {
                    let absent = self.await_absence(deletable, resource);
                    OperationSpan::confirm().run(absent).await?;
                    return Ok(LifecycleOutcome::Deleted);
                }
                Err(failure) => failure,
            };
            let is_rejected = matches!(failure.class, FailureClass::NotFound | FailureClass::Rejected);
            let may_have_applied = matches!(failure.class, FailureClass::Unavailable | FailureClass::Unexpected);
            if !is_rejected && !may_have_applied && failure.class != FailureClass::NotSent {
                return Err(deletable.explain_deletion(failure, id, &self.call).await);
            }
            was_sent |= may_have_applied;
            let is_absent = self.is_absent(deletable, resource, failure.class);
            if OperationSpan::confirm().run(is_absent).await? {
                return Ok(if was_sent {
                    LifecycleOutcome::Deleted
                } else {
                    LifecycleOutcome::AlreadyAbsent
                });
            }
            *may_be_done = false;
            if is_rejected || !failure.is_transient() {
                return Err(deletable.explain_deletion(failure, id, &self.call).await);
            }
            last_error = Some(failure);
        }
        Err(last_error.map_or_else(|| still_shown(deletable), |failure| failure.error))
    }

    /// Whether a read proves the resource absent, now or, unless nothing was sent, within the time that a write may take to show.
    async fn is_absent(
        &self,
        deletable: &dyn Deletable,
        resource: ResourceId,
        class: FailureClass,
    ) -> Result<bool, GovernanceError> {
        let delays = match class {
            FailureClass::NotSent => Vec::new(),
            _ => self.timeouts().recheck_delays().to_vec(),
        };
        let mut is_absent = deletable.find(resource.id, &self.call).await?.is_none();
        for delay in delays {
            if is_absent {
                break;
            }
            self.wait(delay).await?;
            is_absent = deletable.find(resource.id, &self.call).await?.is_none();
        }
        Ok(is_absent)
    }

    /// Waits until a deletion that was accepted shows.
    async fn await_absence(&self, deletable: &dyn Deletable, resource: ResourceId) -> Result<(), GovernanceError> {
        let mut delays = self.read_back_delays().into_iter();
        loop {
            match deletable.is_shown(resource.id, &self.call).await {
                Ok(false) => return Ok(()),
                Ok(true) => {}
                Err(failure) => return Err(deletable.explain_deletion(failure, resource.id, &self.call).await),
            }
            let Some(delay) = delays.next() else {
                return Err(still_shown(deletable));
            };
            self.wait(delay).await?;
        }
    }
}

fn still_shown(deletable: &dyn Deletable) -> GovernanceError {
    GovernanceError::Unavailable {
        endpoint: deletable.deletion_endpoint(),
        why: "the deletion was sent but is not visible".to_owned(),
    }
}
