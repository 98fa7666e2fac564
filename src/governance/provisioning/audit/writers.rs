//! The writers of audit files: connections that record in the same file share one.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use super::AuditWriter;
use super::file::AuditFile;

/// The writers of a process by their files. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct AuditWriters(Arc<Mutex<HashMap<PathBuf, Weak<AuditWriter>>>>);

impl AuditWriters {
    /// The writer of the file at `path`. A new one checks the file now. An append fails after `limit`.
    pub(crate) fn of_file(&self, path: &Path, limit: Duration) -> Arc<AuditWriter> {
        let mut writers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(writer) = writers.get(path).and_then(Weak::upgrade) {
            return writer;
        }
        writers.retain(|_, writer| writer.strong_count() > 0);
        let writer = Arc::new(AuditWriter::new(Arc::new(AuditFile::new(path.to_owned())), limit));
        writers.insert(path.to_owned(), Arc::downgrade(&writer));
        writer
    }
}
