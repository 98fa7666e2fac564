//! Actions: named operations with arguments, beside grants and the lists of a sync.
//!
//! [`schema`] describes them, `arguments` checks what a caller gives, `run` carries them out, and `invocations` keeps what became of
//! each. An action is refused before it begins for its setting, its arguments and its guards. From then on it runs in a task of its
//! own: a caller that stops waiting gets an id, and changes nothing by hanging up.

mod arguments;
mod invocations;
mod results;
mod run;
pub mod schema;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use uuid::Uuid;

pub use arguments::Arguments;
pub use invocations::{ActionOutcome, ActionStatus};
pub use results::{ActionResults, ActionValue};
pub use schema::{ActionField, ActionInfo, ActionOperation, FieldKind, TextRules};

use super::lifecycle::Lifecycle;
use super::model::{Resource, ResourceId};
use super::provider::{ActionProvider, Invocation, Provider};
use super::provisioning::{Provisioning, RequestContext};
use super::sync::Listings;
use super::{AllowedChanges, CallContext, Change, GovernanceError, Lane};
pub(crate) use invocations::Invocations;
use invocations::Running;

/// The argument that repeats the handle of a resource to delete.
const CONFIRMATION: &str = "confirmation";

/// The actions of an organization.
#[derive(Debug)]
pub struct Actions {
    provider: Arc<dyn Provider>,
    listings: Arc<Listings>,
    provisioning: Arc<Provisioning>,
    lifecycle: Arc<Lifecycle>,
    allowed: AllowedChanges,
    /// The handles of the resources that actions with [`ActionInfo::named_resources_only`] may be about.
    named_resources: Vec<String>,
    invocations: Arc<Invocations>,
}

/// A request to invoke an action.
#[derive(Debug, Clone)]
pub struct ActionRequest {
    /// The action.
    pub action: &'static ActionInfo,
    /// The arguments as they were given.
    pub arguments: Map<String, Value>,
    /// How long the response may wait for the end.
    pub inline_wait: Duration,
}

impl Actions {
    pub(crate) fn new(
        provider: Arc<dyn Provider>,
        listings: Arc<Listings>,
        provisioning: Arc<Provisioning>,
        lifecycle: Arc<Lifecycle>,
        allowed: AllowedChanges,
        named_resources: Vec<String>,
        invocations: Arc<Invocations>,
    ) -> Self {
        Self {
            provider,
            listings,
            provisioning,
            lifecycle,
            allowed,
            named_resources,
            invocations,
        }
    }

    /// The actions that the settings allow, of resources of the type with this id, or all if the id is empty.
    pub fn offered(&self, resource_type_id: &str) -> impl Iterator<Item = &'static ActionInfo> {
        let of_type = move |action: &&'static ActionInfo| {
            resource_type_id.is_empty() || action.resource_type.is_some_and(|of| of.id == resource_type_id)
        };
        let offered = schema::offered(self.all(), &self.allowed).filter(of_type);
        offered.collect::<Vec<_>>().into_iter()
    }

    /// The action with this name, of resources of the type with this id if the id is not empty.
    ///
    /// # Errors
    /// `ActionNotFound` or `ProvisioningDisabled`.
    pub fn find(&self, name: &str, resource_type_id: &str) -> Result<&'static ActionInfo, GovernanceError> {
        let named = |action: &&&'static ActionInfo| {
            let of = action.resource_type.map_or("", |of| of.id);
            action.name == name && (resource_type_id.is_empty() || of == resource_type_id)
        };
        let found = self.all().iter().find(named);
        let action = found.ok_or_else(|| GovernanceError::ActionNotFound {
            problem: "there is no such action: ListActionSchemas lists those that there are".to_owned(),
        })?;
        if schema::offered(self.all(), &self.allowed).any(|offered| offered.name == action.name) {
            return Ok(action);
        }
        // An action without a change of its own comes with any other: the first one is named.
        let mut changes = self.all().iter().filter_map(|action| action.change);
        let change = action.change.or_else(|| changes.next()).unwrap_or(Change::Teams);
        Err(GovernanceError::ProvisioningDisabled { change })
    }

    /// Records a change that was refused before its arguments were checked, and returns the reason.
    pub async fn record_refused(&self, name: &str, context: RequestContext, error: GovernanceError) -> GovernanceError {
        match self.all().iter().copied().find(|action| action.name == name) {
            Some(action) => {
                let call = self.call(action);
                let checks = self.lifecycle.begin_checks(action, None, context, call);
                checks.refuse(error).await
            }
            None => error,
        }
    }

    /// Begins an action, and waits for its end as long as the request says.
    ///
    /// # Errors
    /// What is refused before the action begins: its arguments, and its guards. A later failure is the outcome in the status.
    pub async fn invoke(
        self: &Arc<Self>,
        request: ActionRequest,
        context: RequestContext,
    ) -> Result<ActionStatus, GovernanceError> {
        let ActionRequest {
            action,
            arguments,
            inline_wait,
        } = request;
        let call = self.call(action).with_deadline(context.deadline);
        let named = action.resource_type.and_then(|of| self.named_in(of.id, &arguments));
        let checks = self
            .lifecycle
            .begin_checks(action, named, context.clone(), call.clone());
        let prepared = self.prepare(action, &arguments, &call).await;
        let prepared = prepared.map_err(|error| self.provisioning.as_shutdown_error(error, &context));
        let begun = prepared.and_then(|invocation| Ok((self.begin(&invocation, &context)?, invocation)));
        let (running, invocation) = match begun {
            Ok(begun) => begun,
            Err(error) => return Err(checks.refuse(error).await),
        };
        checks.pass();
        let (id, caller) = (invocation.id, Arc::clone(&context.caller));
        // The action does not end with the call that began it.
        let context = RequestContext {
            deadline: None,
            answer_by: None,
            ..context
        };
        let actions = Arc::clone(self);
        self.provisioning.spawn(async move {
            let outcome = actions.run(invocation, context).await;
            running.end(outcome);
        });
        let waited = self.invocations.wait(id, &caller, inline_wait).await;
        Ok(waited.unwrap_or(ActionStatus {
            id,
            action: action.name,
            outcome: None,
        }))
    }

    /// The state of an invocation of `caller`.
    ///
    /// # Errors
    /// `ActionNotFound` for an id that another caller began, that this process did not begin, or whose result was forgotten.
    pub fn status(&self, id: &str, caller: &str) -> Result<ActionStatus, GovernanceError> {
        let status = id.parse().ok().and_then(|id| self.invocations.status(id, caller));
        status.ok_or_else(|| GovernanceError::ActionNotFound {
            problem: "no action of this caller has this id: results are kept for an hour, and not across restarts"
                .to_owned(),
        })
    }

    /// Adds the invocation to those that run.
    fn begin(&self, invocation: &Invocation, context: &RequestContext) -> Result<Running, GovernanceError> {
        let (id, action) = (invocation.id, invocation.action.name);
        let running = self.invocations.begin(id, Arc::clone(&context.caller), action);
        running.ok_or_else(|| GovernanceError::Unavailable {
            endpoint: action,
            why: "too many actions are running".to_owned(),
        })
    }

    /// Checks everything that can be refused before the action begins.
    async fn prepare(
        &self,
        action: &'static ActionInfo,
        arguments: &Map<String, Value>,
        call: &CallContext,
    ) -> Result<Invocation, GovernanceError> {
        let provider = self.provided()?;
        let arguments = Arguments::check(action, self.listings.catalog(), arguments)?;
        provider.check(action, &arguments)?;
        if call.is_cancelled() {
            return Err(GovernanceError::ShuttingDown);
        }
        let named = action.resource_type.and_then(|of| arguments.resource(of.id));
        if action.is_change() {
            // Of what the operator named for this action, the protections of access say nothing.
            let guarded = named.filter(|_| !action.named_resources_only);
            self.provisioning.guard_protected(guarded.as_slice(), call).await?;
        }
        let subject = match named {
            None => None,
            Some(named) => self.subject(action, named, &arguments, call).await?,
        };
        Ok(Invocation {
            id: Uuid::now_v7(),
            action,
            arguments,
            subject,
        })
    }

    /// The resource that the action is about; `None` if it is to be deleted and is gone already.
    async fn subject(
        &self,
        action: &'static ActionInfo,
        named: ResourceId,
        arguments: &Arguments,
        call: &CallContext,
    ) -> Result<Option<Resource>, GovernanceError> {
        let subject = match self.listings.resource(named, call).await {
            Ok(subject) => subject,
            Err(GovernanceError::ResourceNotFound { .. }) if action.operation == ActionOperation::Delete => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let handle = subject.handle.as_deref();
        if action.named_resources_only
            && !handle.is_some_and(|handle| self.named_resources.iter().any(|named| named == handle))
        {
            let kind = named.resource_type;
            let handle = handle.unwrap_or("without a slug");
            return Err(GovernanceError::Protected {
                guard: format!(
                    "the {kind} `{handle}` is not among those of --build-{kind}: name it there, or use one that is"
                ),
            });
        }
        if action.operation == ActionOperation::Delete && arguments.text(CONFIRMATION) != handle {
            return Err(GovernanceError::Invalid {
                field: CONFIRMATION,
                problem: format!(
                    "`{CONFIRMATION}` is not the slug of the {}: repeat the slug",
                    named.resource_type
                ),
            });
        }
        Ok(Some(subject))
    }

    /// The resource that arguments name which were not checked, for the record of the checks.
    fn named_in(&self, resource_type: &'static str, arguments: &Map<String, Value>) -> Option<ResourceId> {
        let id = arguments.get(resource_type)?;
        let id = ["resource_id", "resource", "resourceId"]
            .into_iter()
            .find_map(|name| id.get(name)?.as_str())?;
        self.listings.catalog().resource(resource_type, id).ok()
    }

    fn call(&self, action: &ActionInfo) -> CallContext {
        let lane = if action.is_change() {
            Lane::Provisioning
        } else {
            Lane::Interactive
        };
        CallContext::new(lane).with_cancellation(self.provisioning.shutdown())
    }

    fn all(&self) -> &'static [&'static ActionInfo] {
        self.provider.actions().map_or(&[], |actions| actions.all())
    }

    fn provided(&self) -> Result<Arc<dyn ActionProvider>, GovernanceError> {
        self.provider.actions().ok_or_else(|| GovernanceError::ActionNotFound {
            problem: "the provider has no actions".to_owned(),
        })
    }
}
