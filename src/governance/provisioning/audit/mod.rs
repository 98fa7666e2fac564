//! The audit record: the caller, the request and the outcome of each change, on the log target `audit` and, if the operator set
//! a file, as JSON lines.
//!
//! A change that cannot be recorded is not made: the `intent` line is on the disk before the write is sent. The `outcome` line
//! follows. If it cannot be written, the response to the caller stays the same, the line stays in the backlog until it can be
//! written, and the log and health report it. [`writer`] isolates a stalled disk from everything else.

mod backlog;
mod fields;
mod file;
mod record;
mod sink;
mod writer;
mod writers;

use std::sync::Arc;

use serde::Serialize;
use tokio::sync::Notify;

use crate::governance::GovernanceError;
use crate::governance::connections::ConnectionLabel;
use crate::telemetry::metrics::ConnectionTag;
use backlog::OutcomeLine;
pub(crate) use fields::{Line, RecordHead};
pub(crate) use record::{AuditRecord, RecordedRequest};
pub use sink::AuditSink;
use writer::Task;
pub(crate) use writer::Writer as AuditWriter;
pub use writers::AuditWriters;

/// Writes records to the sink, if there is one.
#[derive(Debug, Default)]
pub(crate) struct Audit {
    writer: Option<Arc<AuditWriter>>,
    connection: Option<ConnectionLabel>,
}

/// A line with the name of its connection.
#[derive(Serialize)]
struct Named<'a, T: Serialize> {
    #[serde(flatten)]
    line: &'a T,
    connection: &'a str,
}

impl Audit {
    /// Records on the log and with `writer`, if there is one, on behalf of `connection`. `changed` is notified when [`Self::error`]
    /// changes.
    pub(crate) fn new(
        writer: Option<Arc<AuditWriter>>,
        connection: Option<ConnectionLabel>,
        changed: &Arc<Notify>,
    ) -> Self {
        if let Some(writer) = &writer {
            writer.notify(changed);
        }
        Self { writer, connection }
    }

    /// The connection's name as records state it.
    pub(crate) fn connection(&self) -> Option<&str> {
        self.connection.as_ref().and_then(ConnectionLabel::in_records)
    }

    /// The label of the connection's metrics.
    pub(crate) fn tag(&self) -> ConnectionTag {
        self.connection
            .as_ref()
            .map(|label| label.name().tag())
            .unwrap_or_default()
    }

    /// A line of the file as JSON; empty, and logged, if it cannot be expressed.
    pub(crate) fn line(&self, line: &impl Serialize, request_id: &str) -> String {
        let text = match self.connection() {
            Some(connection) => serde_json::to_string(&Named { line, connection }),
            None => serde_json::to_string(line),
        };
        text.unwrap_or_else(|error| {
            // The line holds strings, numbers and lists of them only, so this branch should be unreachable.
            tracing::error!(%error, request_id, "a record could not be put into JSON");
            String::new()
        })
    }

    /// The error of the most recent write, if it failed.
    pub(crate) fn error(&self) -> Option<String> {
        self.writer.as_ref().and_then(|writer| writer.error())
    }

    /// After a failed write, checks whether lines can be written again.
    pub(crate) async fn recheck(&self) {
        if let Some(writer) = &self.writer {
            writer.recheck().await;
        }
    }

    /// Writes a line that has to be on the disk before a change is made.
    ///
    /// # Errors
    /// `AuditUnavailable` if the line is not on the disk.
    pub(crate) async fn append_intent(&self, line: String) -> Result<(), GovernanceError> {
        self.submit(Task::Intent(line))
            .await
            .map_err(|why| GovernanceError::AuditUnavailable { why })
    }

    /// Writes a line about a request that has ended; later, if it cannot be written now.
    pub(crate) async fn append_outcome(&self, line: String) {
        // After a failure the line is in the backlog, and the log and health report it; the change itself stands.
        let connection = self.connection().map(Into::into);
        let _ = self.submit(Task::Outcome(OutcomeLine { text: line, connection })).await;
    }

    async fn submit(&self, task: Task) -> Result<(), String> {
        match &self.writer {
            Some(writer) => writer.submit(task).await,
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn without_a_file_the_log_is_the_record() {
        let audit = Audit::default();
        audit.append_intent("1".into()).await.unwrap();
        assert_eq!(audit.error(), None);
    }
}
