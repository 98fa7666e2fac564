//! The audit file: JSON lines, each on the disk before `append` returns. The file may be rotated at any time.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::AuditSink;
use crate::files;
use crate::files::NotRegular;

/// Readable by its owner only, because it lists the access of users.
const MODE: u32 = 0o600;

/// A file that lines are appended to.
#[derive(Debug)]
pub(crate) struct AuditFile {
    path: PathBuf,
    open: Mutex<Option<Open>>,
}

#[derive(Debug)]
struct Open {
    file: File,
    /// Device and inode: a different identity at the path means that the file was rotated.
    identity: (u64, u64),
    /// Whether the file ends in the middle of a line.
    mid_line: bool,
}

impl AuditFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            open: Mutex::default(),
        }
    }

    fn try_append(&self, line: &str) -> io::Result<()> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let at_path = std::fs::metadata(&self.path).ok().map(|found| identity(&found));
        let current = match open.take() {
            Some(current) if Some(current.identity) == at_path => current,
            _ => Open::at(&self.path)?,
        };
        open.insert(current).append(line)
    }
}

impl AuditSink for AuditFile {
    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn check(&self) -> io::Result<()> {
        Open::at(&self.path).map(drop).map_err(with_hint)
    }

    fn append(&self, line: &str) -> io::Result<()> {
        self.try_append(line).map_err(with_hint)
    }
}

/// Mentions the log in the error for a path that is not a regular file: the log writes records to a pipe or to standard output.
fn with_hint(error: io::Error) -> io::Error {
    if NotRegular::is(&error) {
        return io::Error::other(format!(
            "{error}; without a file, the log's target `audit` has the record"
        ));
    }
    error
}

impl Open {
    fn at(path: &Path) -> io::Result<Self> {
        let file = files::open_to_append(path, MODE)?;
        let metadata = file.metadata()?;
        if metadata.len() == 0
            && let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty())
        {
            // The name of a new file has to survive a power failure, as its lines do. On a file system that cannot flush a
            // directory, the lines survive all the same.
            let _ = File::open(directory).and_then(|directory| directory.sync_all());
        }
        Ok(Self {
            identity: identity(&metadata),
            mid_line: ends_mid_line(path),
            file,
        })
    }

    fn append(&mut self, line: &str) -> io::Result<()> {
        let start = if self.mid_line { "\n" } else { "" };
        self.mid_line = true;
        self.file.write_all(format!("{start}{line}\n").as_bytes())?;
        self.mid_line = false;
        self.file.sync_data()
    }
}

fn identity(metadata: &std::fs::Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// Whether the last line is incomplete, because a disk was full or an earlier process ended. A file that cannot be read is
/// assumed to be complete.
fn ends_mid_line(path: &Path) -> bool {
    let last = || -> io::Result<u8> {
        let mut file = files::open(path)?;
        file.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        file.read_exact(&mut last)?;
        Ok(last[0])
    };
    last().is_ok_and(|last| last != b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &Path) -> String {
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn lines_are_appended_to_what_is_there_and_a_torn_one_is_ended() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.jsonl");
        std::fs::write(&path, "{\"torn\":").unwrap();
        let file = AuditFile::new(path.clone());
        file.append("{}").unwrap();
        file.append("[]").unwrap();
        assert_eq!(read(&path), "{\"torn\":\n{}\n[]\n");
    }

    #[test]
    fn a_file_that_was_rotated_away_or_removed_is_made_again() {
        let directory = tempfile::tempdir().unwrap();
        let (path, rotated) = (directory.path().join("audit.jsonl"), directory.path().join("audit.1"));
        let file = AuditFile::new(path.clone());
        file.append("1").unwrap();
        std::fs::rename(&path, &rotated).unwrap();
        file.append("2").unwrap();
        assert_eq!((read(&rotated).as_str(), read(&path).as_str()), ("1\n", "2\n"));
        std::fs::remove_file(&path).unwrap();
        file.append("3").unwrap();
        assert_eq!(read(&path), "3\n");
    }

    #[test]
    fn it_is_its_owners_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.jsonl");
        AuditFile::new(path.clone()).append("1").unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777 & !MODE, 0);
    }

    #[test]
    fn a_missing_directory_is_an_error() {
        assert!(AuditFile::new("/nonexistent/audit.jsonl".into()).append("1").is_err());
    }

    #[test]
    fn what_is_no_regular_file_is_refused_at_the_start_and_in_place_of_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let (path, pipe) = (directory.path().join("audit.jsonl"), directory.path().join("pipe"));
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        for refused in [pipe.as_path(), Path::new("/dev/full")] {
            let error = AuditFile::new(refused.to_owned()).check().unwrap_err().to_string();
            assert!(
                error.contains("not a regular file") && error.contains("target `audit`"),
                "{error}"
            );
        }
        let file = AuditFile::new(path.clone());
        file.append("1").unwrap();
        std::fs::rename(&pipe, &path).unwrap();
        let error = file.append("2").unwrap_err().to_string();
        assert!(error.contains("a pipe, not a regular file"), "{error}");
        std::fs::remove_file(&path).unwrap();
        file.append("3").unwrap();
        assert_eq!(read(&path), "3\n");
    }
}
