//! The audit record: what was requested, by whom, and what came of it, on the log target `audit` and, where the operator gave
//! a file, as JSON lines.
//!
//! A change that cannot be recorded is not made: the `intent` line is on the disk before the write leaves. Whatever came of
//! the attempt is the `outcome` line; where that cannot be written, the answer stays true, the line is owed until it can be, and
//! the log and health say so. [`writer`] keeps a disk that stalls away from everything else.

mod backlog;
mod file;
mod record;
mod sink;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::governance::GovernanceError;
use file::AuditFile;
pub(crate) use record::{Attempt, AuditRecord};
pub use sink::AuditSink;
use writer::{Task, Writer};

/// Where records go.
#[derive(Debug, Default)]
pub(crate) struct Audit {
    writer: Option<Writer>,
}

impl Audit {
    /// Records on the log and, where there is a sink, there. An append fails after `limit`; `changed` is notified when what keeps
    /// records from being written changes.
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

    /// Where there is trouble, finds out whether it is over.
    pub(crate) async fn recheck(&self) {
        if let Some(writer) = &self.writer {
            writer.recheck().await;
        }
    }

    /// Writes a line that has to be on the disk before a change is made.
    pub(crate) async fn append_intent(&self, line: String) -> Result<(), GovernanceError> {
        self.submit(Task::Intent(line))
            .await
            .map_err(|why| GovernanceError::AuditUnavailable { why })
    }

    /// Writes a line about what has happened already.
    pub(crate) async fn append_outcome(&self, line: String) {
        // It is owed then, and the log and health say so; what happened is not undone by it.
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
