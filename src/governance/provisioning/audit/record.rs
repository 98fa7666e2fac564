//! One attempt's record, from its beginning to its end. An attempt that ends without an outcome, because its caller hung up
//! while it waited, leaves one too.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use tokio::time::Instant;

use super::Audit;
use crate::governance::model::{EntitlementId, Level, Principal, ResourceId};
use crate::governance::provisioning::plan::{OperationKind, Write};
use crate::governance::provisioning::{Outcome, RequestContext};
use crate::governance::{CallContext, GovernanceError};
use crate::telemetry::metrics::PROVISIONING;

/// Whom and what an attempt is about; of a request that is not well formed, as much as could be read.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) context: RequestContext,
    pub(crate) operation: OperationKind,
    pub(crate) entitlement: Option<EntitlementId>,
    pub(crate) principal: Option<Principal>,
    pub(crate) team_slug: Option<String>,
}

/// What was read: a level, or that none is held.
type Held = Option<&'static Level>;

/// What was read, as the record spells it.
fn name(held: Held) -> &'static str {
    held.map_or("none", |level| level.slug)
}

/// An attempt on record.
#[derive(Debug)]
pub(crate) struct AuditRecord {
    audit: Arc<Audit>,
    attempt: Attempt,
    user: Option<ResourceId>,
    email: Option<String>,
    before: Option<Held>,
    after: Option<Held>,
    intent: Option<Write>,
    call: CallContext,
    started: Instant,
    is_concluded: bool,
}

/// A line of the file. Absent is what is not known.
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
    calls: Vec<LineCall>,
    duration_ms: u64,
}

#[derive(Serialize)]
struct LineCall {
    call: &'static str,
    /// None where no answer came.
    status: Option<u16>,
}

impl AuditRecord {
    pub(crate) fn new(audit: Arc<Audit>, attempt: Attempt, call: CallContext) -> Self {
        let (user, email) = match &attempt.principal {
            Some(Principal::Email(email)) => (None, Some(email.clone())),
            Some(Principal::Resource(user)) => (Some(*user), None),
            None => (None, None),
        };
        Self {
            audit,
            attempt,
            user,
            email,
            before: None,
            after: None,
            intent: None,
            call,
            started: Instant::now(),
            is_concluded: false,
        }
    }

    /// Whom the principal turned out to be.
    pub(crate) fn set_user(&mut self, user: ResourceId, email: Option<String>) {
        self.user = Some(user);
        self.email = self.email.take().or(email);
    }

    /// Notes a level that was read or confirmed: the first is what was held before, the last what is held after.
    pub(crate) fn observe_level(&mut self, held: Option<&'static Level>) {
        self.before.get_or_insert(held);
        self.after = Some(held);
    }

    /// The level that was held at first; `None` if none was held, or nothing was read.
    pub(crate) fn before(&self) -> Option<&'static Level> {
        self.before.flatten()
    }

    /// Puts a write on record before it is made; one that is made again is on record already.
    pub(crate) async fn write_intent(&mut self, write: Write) -> Result<(), GovernanceError> {
        if self.intent == Some(write) {
            return Ok(());
        }
        let after = name(write.resulting_level());
        let line = self.line(&Line {
            after: Some(after),
            ..self.fields("intent")
        });
        self.audit.append_intent(line).await?;
        self.intent = Some(write);
        Ok(())
    }

    /// Puts what came of it on record.
    pub(crate) async fn write_outcome(mut self, outcome: &Result<Outcome, GovernanceError>) {
        self.is_concluded = true;
        let line = self.outcome_line(outcome);
        self.audit.append_outcome(line).await;
    }

    /// What became of an attempt that failed: it says so where its intent may be in the file and nothing was sent.
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
        PROVISIONING.increment([self.attempt.operation.as_str(), word]);
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
        let text = self.line(&line);
        tracing::info!(
            target: "audit",
            caller = line.caller,
            request_id = line.request_id,
            operation = line.operation,
            role = line.role,
            team_id = line.team_id,
            team_slug = line.team_slug,
            user_id = line.user_id,
            user_email = line.user_email,
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
        let attempts = self.call.stats().attempts;
        let entitlement = self.attempt.entitlement;
        let calls = attempts.iter().map(|attempt| LineCall {
            call: attempt.endpoint,
            status: attempt.status,
        });
        Line {
            record,
            time: Timestamp::now().to_string(),
            caller: &self.attempt.context.caller,
            request_id: &self.attempt.context.request_id,
            operation: self.attempt.operation.as_str(),
            role: entitlement.map(|entitlement| entitlement.level.slug),
            team_id: entitlement.map(|entitlement| entitlement.resource.id.to_string()),
            team_slug: self.attempt.team_slug.as_deref(),
            user_id: self.user.map(|user| user.id.to_string()),
            user_email: self.email.as_deref(),
            before: self.before.map(name),
            after: self.after.map(name),
            outcome: None,
            reason: None,
            message: None,
            calls: calls.collect(),
            duration_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }

    fn line(&self, line: &Line<'_>) -> String {
        serde_json::to_string(line).unwrap_or_else(|error| {
            // Strings, numbers and lists of them: there is nothing that cannot be written.
            tracing::error!(%error, request_id = self.attempt.context.request_id, "a record could not be put into JSON");
            String::new()
        })
    }
}

impl Drop for AuditRecord {
    fn drop(&mut self) {
        if self.is_concluded {
            return;
        }
        let line = self.outcome_line(&Err(self.attempt.context.disconnect_error()));
        let audit = Arc::clone(&self.audit);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { audit.append_outcome(line).await });
        }
    }
}
