//! Creates a resource. A creation whose reply is lost is looked for among the resources that were not there before.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::attempt::{Attempt, MAX_WRITES, unless_cancelled};
use super::record::RecordedSubject;
use super::{Lifecycle, LifecycleOutcome, Subject, not_offered};
use crate::governance::GovernanceError;
use crate::governance::model::{LifecycleOperation, Resource, ResourceId, ResourceTypeInfo};
use crate::governance::provider::{Creatable, Failure, FailureClass, NewResource, ResourceType};
use crate::governance::provisioning::RequestContext;
use crate::telemetry::traces::OperationSpan;

impl Lifecycle {
    /// Creates a resource of the type.
    ///
    /// # Errors
    /// After any error the caller must not assume that the resource exists: see the variants of [`GovernanceError`].
    pub async fn create(
        self: &Arc<Self>,
        resource_type: &'static ResourceTypeInfo,
        new: NewResource,
        context: RequestContext,
    ) -> Result<Resource, GovernanceError> {
        let call = self.provisioning.call_of(&context);
        let subject = RecordedSubject {
            resource_type: Some(resource_type),
            id: None,
            name: Some(new.name.clone()).filter(|name| !name.is_empty()),
        };
        let record = self.record(LifecycleOperation::Create, subject, context.clone(), call.clone());
        let guard = match self.checked(resource_type, new) {
            Ok(new) => {
                let subject = Subject::Name(resource_type.id, new.name.to_lowercase());
                self.lock(subject, &call).await.map(|guard| (new, guard))
            }
            Err(error) => Err(error),
        };
        let (new, guard) = match guard {
            Ok(guard) => guard,
            Err(error) => return Err(self.refuse(record, &context, error).await),
        };
        let mut attempt = Attempt {
            lifecycle: Arc::clone(self),
            call: call.clone(),
            record,
        };
        let work = async move {
            let created = attempt.create(resource_type, &new).await;
            let outcome = created.map(|created| {
                attempt.record.set_resource(created.id);
                attempt.record.set_name(created.handle.as_deref());
                (created, LifecycleOutcome::Created)
            });
            (outcome, attempt)
        };
        self.conclude(&call, context, guard, Box::pin(work)).await
    }

    /// The new resource with its defaults, if it is allowed and valid.
    fn checked(
        &self,
        resource_type: &'static ResourceTypeInfo,
        new: NewResource,
    ) -> Result<NewResource, GovernanceError> {
        self.check_allowed(resource_type, LifecycleOperation::Create)?;
        let resources = self.listings.resource_type(resource_type)?;
        let creatable = resources.creatable();
        creatable
            .ok_or_else(|| not_offered(resource_type, LifecycleOperation::Create))?
            .complete(new)
    }
}

/// A resource that is being created.
struct Creation<'a> {
    resources: &'a dyn ResourceType,
    new: &'a NewResource,
    /// The resources that were there before.
    before: HashSet<ResourceId>,
}

impl Attempt {
    async fn create(
        &mut self,
        resource_type: &'static ResourceTypeInfo,
        new: &NewResource,
    ) -> Result<Resource, GovernanceError> {
        let lifecycle = Arc::clone(&self.lifecycle);
        let resources = lifecycle.listings.resource_type(resource_type)?;
        let creatable = resources.creatable();
        let creatable = creatable.ok_or_else(|| not_offered(resource_type, LifecycleOperation::Create))?;
        let reads = async {
            // A protected name that matches nothing forbids every change.
            lifecycle.provisioning.guard_protected(&[], &self.call).await?;
            lifecycle.listings.all(resource_type, &self.call).await
        };
        let before = OperationSpan::decision()
            .run(unless_cancelled(&self.call, reads))
            .await?;
        let creation = Creation {
            resources: resources.as_ref(),
            new,
            before: before.into_iter().map(|resource| resource.id).collect(),
        };
        let (mut last_error, mut was_sent): (Option<Failure>, bool) = (None, false);
        for _ in 0..MAX_WRITES {
            self.preflight().await?;
            let reply = OperationSpan::write().run(creatable.create(new, &self.call)).await;
            self.sent(&reply);
            let failure = match reply {
                Ok(Some(created)) => return Ok(created),
                Ok(None) => {
                    let delays = self.read_back_delays();
                    let found = self.find_created(&creation, &delays).await?;
                    return found.ok_or_else(|| not_visible(creatable));
                }
                Err(failure) => failure,
            };
            match failure.class {
                FailureClass::NotSent => {}
                FailureClass::Unavailable | FailureClass::Unexpected => {
                    was_sent = true;
                    let delays = self.read_back_delays();
                    if let Some(created) = self.find_created(&creation, &delays).await? {
                        return Ok(created);
                    }
                    if !failure.is_transient() {
                        return Err(resources.explain(failure, None, &self.call).await);
                    }
                }
                FailureClass::Rejected if was_sent => {
                    // The name may be taken by the creation whose reply was lost.
                    let delays = self.timeouts().recheck_delays();
                    let found = self.find_created(&creation, delays).await?;
                    return match found {
                        Some(created) => Ok(created),
                        None => Err(creation.resources.explain(failure, None, &self.call).await),
                    };
                }
                _ => return Err(creation.resources.explain(failure, None, &self.call).await),
            }
            last_error = Some(failure);
        }
        Err(last_error.map_or_else(|| not_visible(creatable), |failure| failure.error))
    }

    /// The resource of the requested name that was not there before, as soon as a read shows it.
    async fn find_created(
        &self,
        creation: &Creation<'_>,
        delays: &[Duration],
    ) -> Result<Option<Resource>, GovernanceError> {
        let mut delays = delays.iter();
        let span = OperationSpan::confirm();
        loop {
            let listed = self.lifecycle.listings.all(creation.resources.info(), &self.call);
            let listed = span.run(listed).await?;
            let mut added = listed
                .into_iter()
                .filter(|listed| !creation.before.contains(&listed.id));
            let created = added.find(|added| added.name.as_deref() == Some(creation.new.name.as_str()));
            let (None, Some(delay)) = (&created, delays.next()) else {
                return Ok(created);
            };
            self.wait(*delay).await?;
        }
    }
}

fn not_visible(creatable: &dyn Creatable) -> GovernanceError {
    GovernanceError::Unavailable {
        endpoint: creatable.creation_endpoint(),
        why: "the creation was sent but is not visible".to_owned(),
    }
}
