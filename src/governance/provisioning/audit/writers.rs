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
        self.0.get_or_make(resolved(path), new_writer)
    }
}

/// The same path for all spellings of a file: its folder without links and relative parts, and its name. The file itself need not
/// exist, and is not followed if it is a link, because it may be rotated.
fn resolved(path: &Path) -> PathBuf {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new(".")).canonicalize();
    match (folder, path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        // Nothing can be written there.
        _ => std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::absolute;

    use super::*;

    fn of_file(writers: &AuditWriters, path: impl AsRef<Path>) -> Arc<AuditWriter> {
        writers.of_file(path.as_ref(), Duration::from_secs(1))
    }

    #[test]
    fn all_spellings_of_a_file_have_one_writer() {
        // In the working directory, so that relative paths lead to it.
        let directory = tempfile::tempdir_in(".").unwrap();
        let folder = Path::new(directory.path().file_name().unwrap());
        std::fs::create_dir(folder.join("records")).unwrap();
        std::os::unix::fs::symlink("records", folder.join("link")).unwrap();
        let writers = AuditWriters::default();
        let first = of_file(&writers, folder.join("records/audit.jsonl"));
        for spelling in [
            Path::new(".").join(folder).join("records/audit.jsonl"),
            folder.join("records/../records//./audit.jsonl"),
            folder.join("link/audit.jsonl"),
            absolute(folder.join("records/audit.jsonl")).unwrap(),
        ] {
            let same = of_file(&writers, &spelling);
            assert!(Arc::ptr_eq(&first, &same), "{}", spelling.display());
        }
        let other = of_file(&writers, folder.join("audit.jsonl"));
        assert!(!Arc::ptr_eq(&first, &other));
    }

    #[test]
    fn a_name_alone_is_in_the_working_directory() {
        let name = Path::new("audit-of-a-test.jsonl");
        let expected = std::env::current_dir().unwrap().canonicalize().unwrap().join(name);
        assert_eq!(resolved(name), expected);
    }

    #[test]
    fn spellings_of_a_file_in_a_missing_folder_have_one_writer() {
        let directory = tempfile::tempdir().unwrap();
        let writers = AuditWriters::default();
        let first = of_file(&writers, directory.path().join("absent/audit.jsonl"));
        let same = of_file(&writers, directory.path().join("absent/./audit.jsonl"));
        assert!(Arc::ptr_eq(&first, &same));
    }
}
