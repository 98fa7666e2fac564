//! The writers of audit files: connections that record in the same file share one.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::AuditWriter;
use super::file::AuditFile;
use crate::governance::weak_registry::WeakRegistry;

/// The writers of a process by their files. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct AuditWriters(Arc<WeakRegistry<PathBuf, AuditWriter>>);

impl AuditWriters {
    /// The writer of the file at `path`. A new one checks the file now. An append fails after `limit`.
    pub(crate) fn of_file(&self, path: &Path, limit: Duration) -> Arc<AuditWriter> {
        let new_writer = || AuditWriter::new(Arc::new(AuditFile::new(path.to_owned())), limit);
        self.0.get_or_make(path.to_owned(), new_writer)
    }
}
