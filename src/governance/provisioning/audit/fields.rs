//! What all records have in common: the head of a record, and the fields that every line of the file begins with.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use tokio::time::Instant;
use uuid::Uuid;

use super::Audit;
use crate::governance::model::ResourceTypeInfo;
use crate::governance::provisioning::RequestContext;
use crate::governance::{CallContext, GovernanceError};
use crate::telemetry::metrics::{NO_RESOURCE_TYPE, PROVISIONING};

/// A line of the file. A value that is not known is `null`.
#[derive(Serialize)]
pub(crate) struct Line<'a, Rest> {
    pub(crate) record: &'static str,
    pub(crate) time: String,
    pub(crate) caller: &'a str,
    pub(crate) request_id: &'a str,
    pub(crate) operation: &'a str,
    pub(crate) role: Option<&'a str>,
    pub(crate) team_id: Option<Uuid>,
    pub(crate) team_slug: Option<&'a str>,
    pub(crate) user_id: Option<Uuid>,
    pub(crate) user_email: Option<&'a str>,
    pub(crate) before: Option<&'static str>,
    pub(crate) after: Option<&'static str>,
    pub(crate) outcome: Option<&'static str>,
    pub(crate) reason: Option<&'static str>,
    pub(crate) message: Option<String>,
    pub(crate) calls: Vec<RecordedCall>,
    pub(crate) duration_ms: u64,
    /// The fields of the kind of record.
    #[serde(flatten)]
    pub(crate) rest: Rest,
}

/// A request of a recorded change.
#[derive(Serialize)]
pub(crate) struct RecordedCall {
    call: &'static str,
    /// `None` without a response.
    status: Option<u16>,
}

/// The requests of a call so far.
fn recorded_calls(call: &CallContext) -> Vec<RecordedCall> {
    let attempts = call.stats().attempts;
    let calls = attempts.iter().map(|attempt| RecordedCall {
        call: attempt.endpoint,
        status: attempt.status,
    });
    calls.collect()
}

impl<Rest> Line<'_, Rest> {
    /// The line with the outcome of the request. `not_carried_out` marks a request whose intent may be in the file although no write
    /// was sent; `has_intent` is whether the intent is known to be there.
    pub(crate) fn with_outcome(self, outcome: Result<&'static str, &GovernanceError>, has_intent: bool) -> Self {
        match outcome {
            Ok(outcome) => Self {
                outcome: Some(outcome),
                ..self
            },
            Err(error) => Self {
                outcome: Some(match error {
                    GovernanceError::AuditUnavailable { .. } if !has_intent => "not_carried_out",
                    _ => "failed",
                }),
                reason: Some(error.reason()),
                message: Some(error.to_string()),
                ..self
            },
        }
    }
}

/// The head of a record: who made the request, what it has cost so far, and where it is recorded.
#[derive(Debug)]
pub(crate) struct RecordHead {
    audit: Arc<Audit>,
    context: RequestContext,
    call: CallContext,
    started: Instant,
    is_concluded: bool,
}

impl RecordHead {
    pub(crate) fn new(audit: Arc<Audit>, context: RequestContext, call: CallContext) -> Self {
        Self {
            audit,
            context,
            call,
            started: Instant::now(),
            is_concluded: false,
        }
    }

    /// A line about the operation so far, in which nothing else is known.
    pub(crate) fn line<'a, Rest>(&'a self, record: &'static str, operation: &'a str, rest: Rest) -> Line<'a, Rest> {
        Line {
            record,
            time: Timestamp::now().to_string(),
            caller: &self.context.caller,
            request_id: &self.context.request_id,
            operation,
            role: None,
            team_id: None,
            team_slug: None,
            user_id: None,
            user_email: None,
            before: None,
            after: None,
            outcome: None,
            reason: None,
            message: None,
            calls: recorded_calls(&self.call),
            duration_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            rest,
        }
    }

    /// The connection's name as records state it.
    pub(crate) fn connection(&self) -> Option<&str> {
        self.audit.connection()
    }

    /// A line as JSON.
    pub(crate) fn json(&self, line: &impl Serialize) -> String {
        self.audit.line(line, &self.context.request_id)
    }

    /// Counts a change by its outcome, or by the reason why it was not made.
    pub(crate) fn count(
        &self,
        operation: &str,
        resource_type: Option<&ResourceTypeInfo>,
        outcome: Result<&'static str, &GovernanceError>,
    ) {
        let resource_type = resource_type.map_or(NO_RESOURCE_TYPE, |resource_type| resource_type.id);
        let outcome = outcome.unwrap_or_else(GovernanceError::reason);
        PROVISIONING.increment_for(&self.audit.tag(), [operation, resource_type, outcome]);
    }

    /// Writes a line before the first write of the request.
    ///
    /// # Errors
    /// `AuditUnavailable` if the line is not on the disk.
    pub(crate) async fn append_intent(&self, line: &impl Serialize) -> Result<(), GovernanceError> {
        self.audit.append_intent(self.json(line)).await
    }

    /// Writes the line that ends the record.
    pub(crate) async fn conclude(&mut self, line: String) {
        self.is_concluded = true;
        self.audit.append_outcome(line).await;
    }

    /// Ends the record without a line, because another record goes on with the request.
    pub(crate) fn discard(&mut self) {
        self.is_concluded = true;
    }

    /// Why the request ended, if its record is dropped before it was concluded: its caller disconnected while it waited.
    pub(crate) fn disconnect_error(&self) -> Option<GovernanceError> {
        (!self.is_concluded).then(|| self.context.disconnect_error())
    }

    /// Writes the line that ends a record that is dropped.
    pub(crate) fn conclude_dropped(&self, line: String) {
        let audit = Arc::clone(&self.audit);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { audit.append_outcome(line).await });
        }
    }
}
