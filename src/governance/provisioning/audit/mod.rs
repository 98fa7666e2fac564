//! The audit record: what was requested, by whom, and what came of it, on the log target `audit` and, where the operator gave
//! a file, as JSON lines.
//!
//! A change that cannot be recorded is not made: the `intent` line is on the disk before the write leaves. Whatever came of
//! the attempt is the `outcome` line; where that cannot be written, the answer stays true, the line is owed until it can be, and
//! the log and health say so. [`writer`] keeps a disk that stalls away from everything else.

mod file;
mod owed;
mod record;
mod sink;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::governance::GovernanceError;
use file::AuditFile;
pub(crate) use record::{Record, Subject};
pub use sink::AuditSink;
use writer::{Task, Writer};

/// Where records go.
#[derive(Debug, Default)]
pub(crate) struct Audit {
    writer: Option<Writer>,
}

impl Audit {
    /// Records on the log and, where there is a sink, there. An append fails after `limit`; `news` is notified when what keeps
    /// records from being written changes.
    pub(crate) fn new(sink: Option<Arc<dyn AuditSink>>, limit: Duration, news: Arc<Notify>) -> Self {
        Self {
            writer: sink.map(|sink| Writer::new(sink, limit, news)),
        }
    }

    /// The sink of a file.
    pub(crate) fn file(path: PathBuf) -> Arc<dyn AuditSink> {
        Arc::new(AuditFile::new(path))
    }

    /// What keeps records from being written, as of the last that was.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.writer.as_ref().and_then(Writer::trouble)
    }

    /// Where there is trouble, finds out whether it is over.
    pub(crate) async fn look(&self) {
        if let Some(writer) = &self.writer {
            writer.look().await;
        }
    }

    /// Writes a line that has to be on the disk before a change is made.
    pub(crate) async fn intend(&self, line: String) -> Result<(), GovernanceError> {
        self.submit(Task::Intent(line))
            .await
            .map_err(|why| GovernanceError::AuditUnavailable { why })
    }

    /// Writes a line about what has happened already.
    pub(crate) async fn conclude(&self, line: String) {
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
        audit.intend("1".into()).await.unwrap();
        assert_eq!(audit.trouble(), None);
    }
}
