//! The record of one request, from its beginning to its end. A request whose caller disconnects while it waits has no outcome of
//! its own; dropping its record writes one. The record of a credential that was revoked has another shape, see `disconnect.rs`.

use serde::Serialize;
use uuid::Uuid;

use super::fields::{Line, RecordHead};
use crate::governance::GovernanceError;
use crate::governance::model::{EntitlementId, Level, Principal, ResourceId, ResourceKind};
use crate::governance::provisioning::Outcome;
use crate::governance::provisioning::plan::{OperationKind, Write};

/// The request that a record is about. An invalid request has the parts that could be parsed.
#[derive(Debug)]
pub(crate) struct RecordedRequest {
    pub(crate) operation: OperationKind,
    pub(crate) entitlement: Option<EntitlementId>,
    pub(crate) principal: Option<Principal>,
    /// The handle of the entitlement's resource, if a list showed it.
    pub(crate) resource_name: Option<String>,
}

/// The level that a read showed; `None` if the principal held none.
type HeldLevel = Option<&'static Level>;

/// The level's name in a record.
fn level_name(held: HeldLevel) -> &'static str {
    held.map_or("none", |level| level.slug)
}

/// The record of one request.
#[derive(Debug)]
pub(crate) struct AuditRecord {
    head: RecordHead,
    request: RecordedRequest,
    principal: Option<ResourceId>,
    /// The principal's e-mail address or slug.
    principal_name: Option<String>,
    before: Option<HeldLevel>,
    after: Option<HeldLevel>,
    intent: Option<Write>,
}

/// What a line is about that is not a team membership.
#[derive(Serialize)]
struct LineAccess<'a> {
    resource_type: Option<&'static str>,
    resource_id: Option<Uuid>,
    resource_name: Option<&'a str>,
    principal_type: Option<&'static str>,
    principal_id: Option<Uuid>,
    principal_name: Option<&'a str>,
}

impl AuditRecord {
    pub(crate) fn new(head: RecordHead, request: RecordedRequest) -> Self {
        let (principal, principal_name) = match &request.principal {
            Some(Principal::Email(email)) => (None, Some(email.clone())),
            Some(Principal::Resource(principal)) => (Some(*principal), None),
            None => (None, None),
        };
        Self {
            head,
            request,
            principal,
            principal_name,
            before: None,
            after: None,
            intent: None,
        }
    }

    /// Sets the resource that the principal was resolved to, and its e-mail address or slug.
    pub(crate) fn set_principal(&mut self, principal: ResourceId, name: Option<String>) {
        self.principal = Some(principal);
        self.principal_name = self.principal_name.take().or(name);
    }

    /// Records a level that was read or confirmed: the first is the level before the request, the last the level after it.
    pub(crate) fn observe_level(&mut self, held: Option<&'static Level>) {
        self.before.get_or_insert(held);
        self.after = Some(held);
    }

    /// The level before the request; `None` if none was held, or no level was read.
    pub(crate) fn before(&self) -> Option<&'static Level> {
        self.before.flatten()
    }

    /// Records a write before it is sent, once; a repeated write is not recorded again.
    ///
    /// # Errors
    /// `AuditUnavailable` if the line is not on the disk.
    pub(crate) async fn write_intent(&mut self, write: Write) -> Result<(), GovernanceError> {
        if self.intent == Some(write) {
            return Ok(());
        }
        let after = level_name(write.resulting_level());
        let line = Line {
            after: Some(after),
            ..self.fields("intent")
        };
        self.head.append_intent(&line).await?;
        self.intent = Some(write);
        Ok(())
    }

    /// Records the outcome, and ends the record.
    pub(crate) async fn write_outcome(mut self, outcome: &Result<Outcome, GovernanceError>) {
        let line = self.outcome_line(outcome.as_ref().map(|outcome| outcome.as_str()));
        self.head.conclude(line).await;
    }

    fn outcome_line(&self, outcome: Result<&'static str, &GovernanceError>) -> String {
        let resource_type = self.request.entitlement.map(|of| of.resource.resource_type);
        self.head.count(self.request.operation.as_str(), resource_type, outcome);
        let line = self.fields("outcome").with_outcome(outcome, self.intent.is_some());
        tracing::info!(
            target: "audit",
            connection = self.head.connection(),
            caller = line.caller,
            request_id = line.request_id,
            operation = line.operation,
            role = line.role,
            team_id = line.team_id.map(|id| id.to_string()),
            team_slug = line.team_slug,
            user_id = line.user_id.map(|id| id.to_string()),
            user_email = line.user_email,
            resource_type = line.rest.as_ref().and_then(|access| access.resource_type),
            resource_id = line.rest.as_ref().and_then(|access| access.resource_id).map(|id| id.to_string()),
            principal_id = line.rest.as_ref().and_then(|access| access.principal_id).map(|id| id.to_string()),
            before = line.before,
            after = line.after,
            outcome = line.outcome,
            reason = line.reason,
            detail = line.message,
            calls = serde_json::to_string(&line.calls).unwrap_or_default(),
            duration_ms = line.duration_ms,
            "provisioning"
        );
        self.head.json(&line)
    }

    fn fields(&self, record: &'static str) -> Line<'_, Option<LineAccess<'_>>> {
        let entitlement = self.request.entitlement;
        let (team, team_slug) = self.named(ResourceKind::Group).unzip();
        let user = self.named(ResourceKind::User);
        let (user_id, user_email) = match self.principal {
            // An address that was not resolved is that of a user.
            None => (None, self.principal_name.as_deref()),
            Some(_) => (user.map(|(user, _)| user), user.and_then(|(_, email)| email)),
        };
        Line {
            role: entitlement.map(|entitlement| entitlement.level.slug),
            team_id: team.map(|team| team.id),
            team_slug: team_slug.flatten(),
            user_id: user_id.map(|user| user.id),
            user_email,
            before: self.before.map(level_name),
            after: self.after.map(level_name),
            ..self.head.line(record, self.request.operation.as_str(), self.access())
        }
    }

    /// The resource or the principal that is of this kind, and its name.
    fn named(&self, kind: ResourceKind) -> Option<(ResourceId, Option<&str>)> {
        let resource = self.request.entitlement.map(|entitlement| entitlement.resource);
        let resource = resource.map(|resource| (resource, self.request.resource_name.as_deref()));
        let principal = self
            .principal
            .map(|principal| (principal, self.principal_name.as_deref()));
        [resource, principal]
            .into_iter()
            .flatten()
            .find(|(id, _)| id.resource_type.kind == kind)
    }

    /// What the record is about, unless it is a user's membership of a team.
    fn access(&self) -> Option<LineAccess<'_>> {
        let resource = self.request.entitlement.map(|entitlement| entitlement.resource);
        let is = |id: Option<ResourceId>, kind| id.is_none_or(|id| id.resource_type.kind == kind);
        if is(resource, ResourceKind::Group) && is(self.principal, ResourceKind::User) {
            return None;
        }
        Some(LineAccess {
            resource_type: resource.map(|resource| resource.resource_type.id),
            resource_id: resource.map(|resource| resource.id),
            resource_name: self.request.resource_name.as_deref(),
            principal_type: self.principal.map(|principal| principal.resource_type.id),
            principal_id: self.principal.map(|principal| principal.id),
            principal_name: self.principal_name.as_deref(),
        })
    }
}

impl Drop for AuditRecord {
    fn drop(&mut self) {
        if let Some(error) = self.head.disconnect_error() {
            self.head.conclude_dropped(self.outcome_line(Err(&error)));
        }
    }
}
