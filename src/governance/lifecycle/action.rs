//! Changes by an action of the provider, one at a time for each resource.
//!
//! | result of the request | continuation |
//! | --- | --- |
//! | the state is as requested before anything is sent | done |
//! | an earlier invocation may have made the change, and reads may not show it yet | read until they do; nothing is sent before |
//! | 2xx that shows the result | done |
//! | 2xx that does not show it | read until the change is visible |
//! | no connection | nothing was sent: send it again |
//! | no response, 5xx, truncated body | may have been applied: read; send it again only if it was not |
//! | 404, 409, 422 | the state may be as requested already: read, also later, as writes may show late; else the rejection stands |
//! | 403, 401, no budget | return the error |

use std::sync::Arc;
use std::time::Duration;

use super::attempt::{Attempt, MAX_WRITES, unless_cancelled};
use super::record::{LifecycleRecord, RecordedSubject};
use super::{Lifecycle, LifecycleOutcome, Subject};
use crate::governance::actions::{ActionInfo, ActionResults};
use crate::governance::model::ResourceId;
use crate::governance::provider::{ActionProvider, Failure, FailureClass, Invocation};
use crate::governance::provisioning::RequestContext;
use crate::governance::{CallContext, GovernanceError};
use crate::telemetry::traces::OperationSpan;

/// The checks of an invocation, before it begins. An invocation that is to change something and whose caller disconnects during
/// them leaves the record of an attempt that was abandoned.
#[derive(Debug)]
pub(crate) struct ActionChecks {
    record: Option<LifecycleRecord>,
}

impl ActionChecks {
    /// The invocation begins, and its own record with it.
    pub(crate) fn pass(self) {
        if let Some(record) = self.record {
            record.discard();
        }
    }

    /// Records that the invocation was refused, and returns the reason.
    pub(crate) async fn refuse(self, error: GovernanceError) -> GovernanceError {
        if let Some(record) = self.record {
            record.write_outcome(Err(&error)).await;
        }
        error
    }
}

impl Lifecycle {
    /// Begins the checks of an invocation, whose requests `call` counts. `subject` is the resource that its arguments name.
    pub(crate) fn begin_checks(
        &self,
        action: &'static ActionInfo,
        subject: Option<ResourceId>,
        context: RequestContext,
        call: CallContext,
    ) -> ActionChecks {
        let record = action.is_change().then(|| {
            let subject = RecordedSubject {
                resource_type: action.resource_type,
                name: subject.and_then(|subject| self.directory.handle(subject)),
                id: subject,
            };
            self.record_of(action.name.to_owned(), subject, context, call)
        });
        ActionChecks { record }
    }

    /// Makes the change of `invocation`, which is about a resource.
    ///
    /// # Errors
    /// After any error the caller must not assume that the change was made: see the variants of [`GovernanceError`].
    pub(crate) async fn act(
        self: &Arc<Self>,
        actions: Arc<dyn ActionProvider>,
        invocation: Invocation,
        context: RequestContext,
    ) -> Result<ActionResults, GovernanceError> {
        let call = self.provisioning.call_of(&context);
        let resource = invocation.subject.as_ref();
        let subject = RecordedSubject {
            resource_type: invocation.action.resource_type,
            id: resource.map(|resource| resource.id),
            name: resource.and_then(|resource| resource.handle.clone()),
        };
        let key = match subject.id {
            Some(id) => Subject::Resource(id),
            None => Subject::Name(invocation.action.name, String::new()),
        };
        let record = self.record_of(
            invocation.action.name.to_owned(),
            subject,
            context.clone(),
            call.clone(),
        );
        let guard = match self.lock(key, &call).await {
            Ok(guard) => guard,
            Err(error) => return Err(self.refuse(record, &context, error).await),
        };
        let mut attempt = Attempt {
            lifecycle: Arc::clone(self),
            call: call.clone(),
            record,
        };
        let work = async move {
            let outcome = attempt.act(actions.as_ref(), &invocation).await;
            (outcome, attempt)
        };
        self.conclude(&call, context, guard, work).await
    }
}

impl Attempt {
    async fn act(
        &mut self,
        actions: &dyn ActionProvider,
        invocation: &Invocation,
    ) -> Result<(ActionResults, LifecycleOutcome), GovernanceError> {
        let call = self.call.clone();
        let found = unless_cancelled(&call, self.find_earlier(actions, invocation));
        if let Some(found) = OperationSpan::decision().run(found).await? {
            return Ok((found, LifecycleOutcome::Unchanged));
        }
        let done = |results| Ok((results, LifecycleOutcome::Changed));
        let (mut last_error, mut was_sent): (Option<Failure>, bool) = (None, false);
        for _ in 0..MAX_WRITES {
            self.preflight().await?;
            let reply = OperationSpan::write().run(actions.write(invocation, &self.call)).await;
            self.sent(&reply);
            let failure = match reply {
                Ok(Some(results)) => return done(results),
                Ok(None) => {
                    let delays = self.read_back_delays();
                    let found = self.find_made(actions, invocation, true, &delays).await?;
                    return found.map_or_else(|| Err(not_visible(invocation)), done);
                }
                Err(failure) => failure,
            };
            was_sent |= matches!(failure.class, FailureClass::Unavailable | FailureClass::Unexpected);
            let found = match failure.class {
                FailureClass::NotSent => None,
                FailureClass::Unavailable | FailureClass::Unexpected => {
                    let delays = self.read_back_delays();
                    self.find_made(actions, invocation, was_sent, &delays).await?
                }
                FailureClass::NotFound | FailureClass::Rejected => {
                    let delays = self.timeouts().recheck_delays();
                    self.find_made(actions, invocation, was_sent, delays).await?
                }
                _ => return Err(actions.explain(invocation, failure, &self.call).await),
            };
            match found {
                Some(found) if was_sent => return done(found),
                Some(found) => return Ok((found, LifecycleOutcome::Unchanged)),
                None if failure.is_transient() => last_error = Some(failure),
                None => return Err(actions.explain(invocation, failure, &self.call).await),
            }
        }
        Err(last_error.map_or_else(|| not_visible(invocation), |failure| failure.error))
    }

    /// What the change returns if it was made before. One that an earlier invocation made or may have made gets time to show.
    async fn find_earlier(
        &self,
        actions: &dyn ActionProvider,
        invocation: &Invocation,
    ) -> Result<Option<ActionResults>, GovernanceError> {
        let mut found = actions.find(invocation, false, &self.call).await?;
        for delay in self.read_back_delays() {
            let Some(left) = actions.hidden_for(invocation).filter(|_| found.is_none()) else {
                return Ok(found);
            };
            self.wait(delay.min(left)).await?;
            found = actions.find(invocation, false, &self.call).await?;
        }
        if found.is_none() && actions.hidden_for(invocation).is_some() {
            return Err(not_visible(invocation));
        }
        Ok(found)
    }

    /// What the change returns, as soon as a read shows that it was made.
    async fn find_made(
        &self,
        actions: &dyn ActionProvider,
        invocation: &Invocation,
        was_sent: bool,
        delays: &[Duration],
    ) -> Result<Option<ActionResults>, GovernanceError> {
        let mut delays = delays.iter();
        let span = OperationSpan::confirm();
        loop {
            let found = span.run(actions.find(invocation, was_sent, &self.call)).await?;
            let (None, Some(delay)) = (&found, delays.next()) else {
                return Ok(found);
            };
            self.wait(*delay).await?;
        }
    }
}

fn not_visible(invocation: &Invocation) -> GovernanceError {
    GovernanceError::Unavailable {
        endpoint: invocation.action.name,
        why: "the change was sent but is not visible".to_owned(),
    }
}
