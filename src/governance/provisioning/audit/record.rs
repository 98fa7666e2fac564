//! One attempt's record, from its beginning to its end. An attempt that ends without an outcome, because its caller hung up
//! while it waited, leaves one too.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use tokio::time::Instant;

use super::Audit;
use crate::governance::provisioning::plan::{Operation, Write};
use crate::governance::provisioning::{Outcome, RequestContext};
use crate::governance::{EntitlementId, GovernanceError, Principal};
use crate::providers::buildkite::{CallContext, Role, UserId};
use crate::telemetry::metrics::PROVISIONING;

/// Whom and what an attempt is about; of a request that is not well formed, as much as could be read.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) asker: RequestContext,
    pub(crate) operation: Operation,
    pub(crate) entitlement: Option<EntitlementId>,
    pub(crate) principal: Option<Principal>,
    pub(crate) team_slug: Option<String>,
}

/// An attempt on record.
#[derive(Debug)]
pub(crate) struct Record {
    audit: Arc<Audit>,
    subject: Subject,
    user: Option<UserId>,
    email: Option<String>,
    before: Option<&'static str>,
    after: Option<&'static str>,
    intended: Option<Write>,
    call: CallContext,
    begun: Instant,
    concluded: bool,
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

impl Record {
    pub(crate) fn new(audit: Arc<Audit>, subject: Subject, call: CallContext) -> Self {
        let (user, email) = match &subject.principal {
            Some(Principal::Email(email)) => (None, Some(email.clone())),
            Some(Principal::User(user)) => (Some(*user), None),
            None => (None, None),
        };
        Self {
            audit,
            subject,
            user,
            email,
            before: None,
            after: None,
            intended: None,
            call,
            begun: Instant::now(),
            concluded: false,
        }
    }

    /// Whom the principal turned out to be.
    pub(crate) fn is_about(&mut self, user: UserId, email: Option<String>) {
        self.user = Some(user);
        self.email = self.email.take().or(email);
    }

    /// Notes a role that was read or confirmed: the first is what was held before, the last what is held after.
    pub(crate) fn saw(&mut self, held: Option<Role>) {
        let held = held.map_or("none", Role::as_str);
        self.before.get_or_insert(held);
        self.after = Some(held);
    }

    /// The role that was held at first; none where none was held, or where nothing was read.
    pub(crate) fn before(&self) -> Option<Role> {
        Role::ALL.into_iter().find(|role| self.before == Some(role.as_str()))
    }

    /// Puts a write on record before it is made; one that is made again is on record already.
    pub(crate) async fn intend(&mut self, write: Write) -> Result<(), GovernanceError> {
        if self.intended == Some(write) {
            return Ok(());
        }
        let after = write.leaves().map_or("none", Role::as_str);
        let line = self.line(&Line {
            after: Some(after),
            ..self.facts("intent")
        });
        self.audit.intend(line).await?;
        self.intended = Some(write);
        Ok(())
    }

    /// Puts what came of it on record.
    pub(crate) async fn conclude(mut self, outcome: &Result<Outcome, GovernanceError>) {
        self.concluded = true;
        let line = self.outcome_line(outcome);
        self.audit.conclude(line).await;
    }

    /// What became of an attempt that failed: it says so where its intent may be in the file and nothing was sent.
    fn failure(&self, error: &GovernanceError) -> &'static str {
        match error {
            GovernanceError::AuditUnavailable { .. } if self.intended.is_none() => "not_carried_out",
            _ => "failed",
        }
    }

    fn outcome_line(&self, outcome: &Result<Outcome, GovernanceError>) -> String {
        let word = outcome
            .as_ref()
            .map_or_else(GovernanceError::reason, |outcome| outcome.as_str());
        PROVISIONING.count([self.subject.operation.as_str(), word]);
        let line = match outcome {
            Ok(outcome) => Line {
                outcome: Some(outcome.as_str()),
                ..self.facts("outcome")
            },
            Err(error) => Line {
                outcome: Some(self.failure(error)),
                reason: Some(error.reason()),
                message: Some(error.to_string()),
                ..self.facts("outcome")
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

    fn facts(&self, record: &'static str) -> Line<'_> {
        let attempts = self.call.stats().attempts;
        let entitlement = self.subject.entitlement;
        let calls = attempts.iter().map(|attempt| LineCall {
            call: attempt.endpoint.name(),
            status: attempt.status.map(|status| status.as_u16()),
        });
        Line {
            record,
            time: Timestamp::now().to_string(),
            caller: &self.subject.asker.caller,
            request_id: &self.subject.asker.request_id,
            operation: self.subject.operation.as_str(),
            role: entitlement.map(|entitlement| entitlement.role.as_str()),
            team_id: entitlement.map(|entitlement| entitlement.team.to_string()),
            team_slug: self.subject.team_slug.as_deref(),
            user_id: self.user.map(|user| user.to_string()),
            user_email: self.email.as_deref(),
            before: self.before,
            after: self.after,
            outcome: None,
            reason: None,
            message: None,
            calls: calls.collect(),
            duration_ms: u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }

    fn line(&self, line: &Line<'_>) -> String {
        serde_json::to_string(line).unwrap_or_else(|error| {
            // Strings, numbers and lists of them: there is nothing that cannot be written.
            tracing::error!(%error, request_id = self.subject.asker.request_id, "a record could not be put into JSON");
            String::new()
        })
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if self.concluded {
            return;
        }
        let line = self.outcome_line(&Err(self.subject.asker.gone()));
        let audit = Arc::clone(&self.audit);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { audit.conclude(line).await });
        }
    }
}
