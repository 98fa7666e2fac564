//! The audit record: what was attempted, by whom, and what came of it, on the log target `audit` and, where the operator gave
//! a file, as JSON lines.
//!
//! A change that cannot be recorded is not made: the `intent` line is on the disk before the write leaves. Whatever came of
//! the attempt is the `outcome` line; where that cannot be written the change has happened all the same, so the answer stays
//! true and the log and health say that the record has a gap.

mod file;
mod record;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::super::AccessError;
use file::AuditFile;
pub(super) use record::{Record, Subject};

/// Where records go.
#[derive(Debug, Default)]
pub(super) struct Audit {
    file: Option<Arc<AuditFile>>,
    trouble: Mutex<Option<String>>,
}

impl Audit {
    /// Records on the log and, where a path is given, in that file.
    pub(super) fn new(path: Option<PathBuf>) -> Self {
        let audit = Self {
            file: path.map(|path| Arc::new(AuditFile::new(path))),
            trouble: Mutex::default(),
        };
        if let Some(file) = &audit.file {
            let checked = file.check().map_err(|error| described(file, &error));
            // Told by `note`: syncs need no record, and the file may be in order by the first change.
            let _ = audit.note(checked);
        }
        audit
    }

    /// What keeps records from being written, as of the last that was.
    pub(super) fn trouble(&self) -> Option<String> {
        self.lock().clone()
    }

    /// Writes a line that has to be on the disk before a change is made.
    async fn intend(&self, line: String) -> Result<(), AccessError> {
        self.append(line)
            .await
            .map_err(|why| AccessError::AuditUnavailable { why })
    }

    /// Writes a line about what has happened already.
    async fn conclude(&self, line: String) {
        // Told by `note`; what happened is not undone by it.
        let _ = self.append(line).await;
    }

    async fn append(&self, line: String) -> Result<(), String> {
        let Some(file) = self.file.clone() else {
            return Ok(());
        };
        let appended =
            tokio::task::spawn_blocking(move || file.append(&line).map_err(|error| described(&file, &error)));
        let outcome = appended.await.unwrap_or_else(|error| Err(error.to_string()));
        self.note(outcome)
    }

    fn note(&self, outcome: Result<(), String>) -> Result<(), String> {
        let mut trouble = self.lock();
        match (&outcome, trouble.is_some()) {
            (Err(why), _) => tracing::error!(why, "the audit record cannot be written"),
            (Ok(()), true) => tracing::info!("the audit record is written again"),
            (Ok(()), false) => {}
        }
        *trouble = outcome.as_ref().err().cloned();
        outcome
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn described(file: &AuditFile, error: &std::io::Error) -> String {
    format!("{}: {error}", file.path().display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_gap_in_the_record_is_known_until_it_is_written_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("missing/audit.jsonl");
        let audit = Audit::new(Some(path.clone()));
        assert!(audit.trouble().is_some());
        assert!(audit.intend("1".into()).await.is_err());
        std::fs::create_dir(path.parent().unwrap()).unwrap();
        audit.intend("2".into()).await.unwrap();
        assert_eq!(audit.trouble(), None);
        std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
        audit.conclude("3".into()).await;
        assert!(audit.trouble().unwrap().contains("missing/audit.jsonl"));
    }

    #[tokio::test]
    async fn without_a_file_the_log_is_the_record() {
        let audit = Audit::new(None);
        audit.intend("1".into()).await.unwrap();
        assert_eq!(audit.trouble(), None);
    }
}
