//! The record of one request, from its beginning to its end. A request whose caller disconnects while it waits has no outcome of
//! its own; dropping its record writes one. The record of a credential that was revoked has another shape, see `disconnect.rs`.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use tokio::time::Instant;

use super::Audit;
use crate::governance::model::{EntitlementId, Level, Principal, ResourceId, ResourceKind};
use crate::governance::provisioning::plan::{OperationKind, Write};
use crate::governance::provisioning::{Outcome, RequestContext};
use crate::governance::{CallContext, GovernanceError};
use crate::telemetry::metrics::PROVISIONING;

/// The request that a record is about. An invalid request has the parts that could be parsed.
#[derive(Debug)]
pub(crate) struct RecordedRequest {
    pub(crate) context: RequestContext,
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
    audit: Arc<Audit>,
    request: RecordedRequest,
    principal: Option<ResourceId>,
    /// The principal's e-mail address or slug.
    principal_name: Option<String>,
    before: Option<HeldLevel>,
    after: Option<HeldLevel>,
    intent: Option<Write>,
    call: CallContext,
    started: Instant,
    is_concluded: bool,
}

/// A line of the file. A value that is not known is `null`.
#[derive(Serialize)]
struct Line<'a> {
    record: &'static str,
    time: String,
    caller: &'a str,
    request_id: &'a str,
    operation: &'static str,
    role: Option<&'static str>,
    team_id: Option<String>,
    team_slug: Option<&'a str>,
    user_id: Option<String>,
    user_email: Option<&'a str>,
    before: Option<&'static str>,
    after: Option<&'static str>,
    outcome: Option<&'static str>,
    reason: Option<&'static str>,
    message: Option<String>,
    calls: Vec<RecordedCall>,
    duration_ms: u64,
    /// `None` where a team and a user say what the line is about.
    #[serde(flatten)]
    access: Option<LineAccess<'a>>,
}

/// What a line is about that is not a team membership.
#[derive(Serialize)]
struct LineAccess<'a> {
    resource_type: Option<&'static str>,
    resource_id: Option<String>,
    resource_name: Option<&'a str>,
    principal_type: Option<&'static str>,
    principal_id: Option<String>,
    principal_name: Option<&'a str>,
}

/// A request of a recorded change.
#[derive(Serialize)]
pub(crate) struct RecordedCall {
    call: &'static str,
    /// `None` without a response.
    status: Option<u16>,
}

/// The requests of a call so far.
pub(crate) fn recorded_calls(call: &CallContext) -> Vec<RecordedCall> {
    let attempts = call.stats().attempts;
    let calls = attempts.iter().map(|attempt| RecordedCall {
        call: attempt.endpoint,
        status: attempt.status,
    });
    calls.collect()
}

impl AuditRecord {
    pub(crate) fn new(audit: Arc<Audit>, request: RecordedRequest, call: CallContext) -> Self {
        let (principal, principal_name) = match &request.principal {
            Some(Principal::Email(email)) => (None, Some(email.clone())),
            Some(Principal::Resource(principal)) => (Some(*principal), None),
            None => (None, None),
        };
        Self {
            audit,
            request,
            principal,
            principal_name,
            before: None,
            after: None,
            intent: None,
            call,
            started: Instant::now(),
            is_concluded: false,
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
        let line = self.audit.line(&line, &self.request.context.request_id);
        self.audit.append_intent(line).await?;
        self.intent = Some(write);
        Ok(())
    }

    /// Records the outcome, and ends the record.
    pub(crate) async fn write_outcome(mut self, outcome: &Result<Outcome, GovernanceError>) {
        self.is_concluded = true;
        let line = self.outcome_line(outcome);
        self.audit.append_outcome(line).await;
    }

    /// The outcome of a failed request. `not_carried_out` marks a request whose intent may be in the file although no write was
    /// sent.
    fn failure(&self, error: &GovernanceError) -> &'static str {
        match error {
            GovernanceError::AuditUnavailable { .. } if self.intent.is_none() => "not_carried_out",
            _ => "failed",
        }
    }

    fn outcome_line(&self, outcome: &Result<Outcome, GovernanceError>) -> String {
        let word = outcome
            .as_ref()
            .map_or_else(GovernanceError::reason, |outcome| outcome.as_str());
        PROVISIONING.increment_for(&self.audit.tag(), [self.request.operation.as_str(), word]);
        let line = match outcome {
            Ok(outcome) => Line {
                outcome: Some(outcome.as_str()),
                ..self.fields("outcome")
            },
            Err(error) => Line {
                outcome: Some(self.failure(error)),
                reason: Some(error.reason()),
                message: Some(error.to_string()),
                ..self.fields("outcome")
            },
        };
        let text = self.audit.line(&line, line.request_id);
        tracing::info!(
            target: "audit",
            connection = self.audit.connection(),
            caller = line.caller,
            request_id = line.request_id,
            operation = line.operation,
            role = line.role,
            team_id = line.team_id,
            team_slug = line.team_slug,
            user_id = line.user_id,
            user_email = line.user_email,
            resource_type = line.access.as_ref().and_then(|access| access.resource_type),
            resource_id = line.access.as_ref().and_then(|access| access.resource_id.as_deref()),
            principal_id = line.access.as_ref().and_then(|access| access.principal_id.as_deref()),
            before = line.before,
            after = line.after,
            outcome = line.outcome,
            reason = line.reason,
            detail = line.message,
            calls = serde_json::to_string(&line.calls).unwrap_or_default(),
            duration_ms = line.duration_ms,
            "provisioning"
        );
        text
    }

    fn fields(&self, record: &'static str) -> Line<'_> {
        let entitlement = self.request.entitlement;
        let (team, team_slug) = self.named(ResourceKind::Group).unzip();
        let user = self.named(ResourceKind::User);
        let (user_id, user_email) = match self.principal {
            // An address that was not resolved is that of a user.
            None => (None, self.principal_name.as_deref()),
            Some(_) => (user.map(|(user, _)| user), user.and_then(|(_, email)| email)),
        };
        Line {
            record,
            time: Timestamp::now().to_string(),
            caller: &self.request.context.caller,
            request_id: &self.request.context.request_id,
            operation: self.request.operation.as_str(),
            role: entitlement.map(|entitlement| entitlement.level.slug),
            team_id: team.map(|team| team.id.to_string()),
            team_slug: team_slug.flatten(),
            user_id: user_id.map(|user| user.id.to_string()),
            user_email,
            before: self.before.map(level_name),
            after: self.after.map(level_name),
            outcome: None,
            reason: None,
            message: None,
            calls: recorded_calls(&self.call),
            duration_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            access: self.access(),
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
            resource_id: resource.map(|resource| resource.id.to_string()),
            resource_name: self.request.resource_name.as_deref(),
            principal_type: self.principal.map(|principal| principal.resource_type.id),
            principal_id: self.principal.map(|principal| principal.id.to_string()),
            principal_name: self.principal_name.as_deref(),
        })
    }
}

impl Drop for AuditRecord {
    fn drop(&mut self) {
        if self.is_concluded {
            return;
        }
        let line = self.outcome_line(&Err(self.request.context.disconnect_error()));
        let audit = Arc::clone(&self.audit);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { audit.append_outcome(line).await });
        }
    }
}
