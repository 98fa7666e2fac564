//! Carries out an invocation.

use super::{ActionOperation, ActionOutcome, ActionResults, ActionValue, Actions};
use crate::governance::CallContext;
use crate::governance::GovernanceError;
use crate::governance::model::{Grant, Principal, ProfileValue, ResourceId};
use crate::governance::provider::{Invocation, NewResource};
use crate::governance::provisioning::RequestContext;

/// The returned fields of the operations that governance itself carries out.
const RESOURCE: &str = "resource";
const USER: &str = "user";
const MEMBERS: &str = "members";

/// The arguments that they have.
const NAME: &str = "name";
const EMAIL: &str = "email";

impl Actions {
    pub(super) async fn run(&self, invocation: Invocation, context: RequestContext) -> ActionOutcome {
        let call = self.call(invocation.action);
        let action = invocation.action;
        let named = action.resource_type.and_then(|of| invocation.arguments.resource(of.id));
        let outcome = match action.operation {
            ActionOperation::Create => self.create(&invocation, context.clone()).await,
            ActionOperation::Delete => match named {
                Some(resource) => self
                    .lifecycle
                    .delete(resource, context.clone())
                    .await
                    .map(|_| ActionResults::new()),
                None => Err(without_subject(&invocation)),
            },
            ActionOperation::Change => {
                let changed = self.lifecycle.act(self.provided()?, invocation, context.clone());
                changed.await
            }
            ActionOperation::ListGrants => match named {
                Some(resource) => self.grants(resource, &call).await,
                None => Err(without_subject(&invocation)),
            },
            ActionOperation::FindUser => self.user(&invocation, &call).await,
            ActionOperation::Read => self.provided()?.read(&invocation, &call).await,
        };
        outcome.map_err(|error| self.provisioning.as_shutdown_error(error, &context))
    }

    async fn create(&self, invocation: &Invocation, context: RequestContext) -> ActionOutcome {
        let resource_type = invocation.action.resource_type;
        let resource_type = resource_type.ok_or_else(|| without_subject(invocation))?;
        let mut new = NewResource::default();
        for (name, value) in invocation.arguments.fields() {
            match value {
                ProfileValue::Text(text) if name == NAME => new.name = text,
                value => drop(new.fields.insert(name.to_owned(), value)),
            }
        }
        let created = self.lifecycle.create(resource_type, new, context).await?;
        Ok(ActionResults::new().with_resource(RESOURCE, created))
    }

    /// Every grant of the resource, as a sync lists them.
    async fn grants(&self, resource: ResourceId, call: &CallContext) -> ActionOutcome {
        let (mut grants, mut token): (Vec<Grant>, String) = (Vec::new(), String::new());
        loop {
            let page = self.listings.grants(resource, &token, None, "", call).await?;
            grants.extend(page.rows);
            if page.next.is_empty() {
                return Ok(ActionResults::new().with(MEMBERS, ActionValue::Grants(grants)));
            }
            token = page.next;
        }
    }

    async fn user(&self, invocation: &Invocation, call: &CallContext) -> ActionOutcome {
        let email = invocation.arguments.text(EMAIL).unwrap_or_default();
        let principal = Principal::Email(email.to_owned());
        let user = self.provisioning.resolve_principal(&principal, call).await?;
        let user = self.listings.resource(user, call).await?;
        Ok(ActionResults::new().with_resource(USER, user))
    }
}

fn without_subject(invocation: &Invocation) -> GovernanceError {
    GovernanceError::Invalid {
        field: "args",
        problem: format!(
            "{} is about a resource, and the arguments name none",
            invocation.action.name
        ),
    }
}
