//! The audit record: the caller, the request and the outcome of each change, on the log target `audit` and, if the operator set
//! a file, as JSON lines.
//!
//! A change that cannot be recorded is not made: the `intent` line is on the disk before the write is sent. The `outcome` line
//! follows. If it cannot be written, the response to the caller stays the same, the line stays in the backlog until it can be
//! written, and the log and health report it. [`writer`] isolates a stalled disk from everything else.

mod backlog;
mod file;
mod line;
mod record;
mod sink;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::governance::GovernanceError;
use file::AuditFile;
pub(crate) use line::{Line, RecordHead, count};
pub(crate) use record::{AuditRecord, RecordedRequest};
pub use sink::AuditSink;
use writer::{Task, Writer};

/// Writes records to the sink, if there is one.
#[derive(Debug, Default)]
pub(crate) struct Audit {
    writer: Option<Writer>,
}

impl Audit {
    /// Records on the log and in `sink`, if there is one. An append fails after `limit`. `changed` is notified when [`Self::error`]
    /// changes.
    pub(crate) fn new(sink: Option<Arc<dyn AuditSink>>, limit: Duration, changed: Arc<Notify>) -> Self {
        Self {
            writer: sink.map(|sink| Writer::new(sink, limit, changed)),
        }
    }

    /// The sink of a file.
    pub(crate) fn file(path: PathBuf) -> Arc<dyn AuditSink> {
        Arc::new(AuditFile::new(path))
    }

    /// The error of the most recent write, if it failed.
    pub(crate) fn error(&self) -> Option<String> {
        self.writer.as_ref().and_then(Writer::error)
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
        let _ = self.submit(Task::Outcome(line)).await;
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
