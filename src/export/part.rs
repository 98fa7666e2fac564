//! Files and directories that are complete or absent.
//!
//! Both are written in the destination's directory, as `.NAME.part`, and renamed when they are complete and on the disk. A job that
//! ends before leaves the destination unchanged and removes the part. A killed process leaves at most the part, which the next job
//! replaces. A lock on the part prevents two jobs from writing to one destination; the system releases it when the process ends.

mod directory;

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::ExportError;
pub(super) use directory::PartDirectory;

/// A file that is not published yet. Dropping it removes the part.
#[derive(Debug)]
pub(super) struct PartFile {
    destination: PathBuf,
    part: PathBuf,
    /// Device and inode of the part: a file of another identity under the name belongs to another job.
    inode: (u64, u64),
}

impl PartFile {
    /// Creates an empty, locked part for `destination`, which only its owner may read. The lock lasts until the file is closed.
    ///
    /// # Errors
    /// `Refused` if `destination` is not a file, or the failure to write to its directory, for instance because another process is
    /// writing.
    pub(super) fn create(destination: &Path) -> Result<(Self, File), ExportError> {
        let destination = resolve_links(destination)?;
        match fs::metadata(&destination) {
            Ok(metadata) if metadata.is_dir() => {
                return Err(ExportError::refused(
                    &destination,
                    "is a directory: give a file, or --format json",
                ));
            }
            Ok(metadata) if !metadata.is_file() => {
                return Err(ExportError::refused(
                    &destination,
                    "is not a regular file: give a path for a new one",
                ));
            }
            _ => {}
        }
        let part = part_path(&destination)?;
        let stale = lock_stale_part(&destination, &part)?;
        if stale.is_some() {
            fs::remove_file(&part).map_err(|error| ExportError::write(&part, error))?;
        }
        Self::open_new(destination, part)
    }

    /// Replaces the part by a new, empty file. The old file has no name any longer and exists until it is closed.
    ///
    /// # Errors
    /// The failure to replace the part, for instance because another process is writing.
    pub(super) fn renew(mut self) -> Result<(Self, File), ExportError> {
        fs::remove_file(&self.part).map_err(|error| ExportError::write(&self.part, error))?;
        let (destination, part) = (std::mem::take(&mut self.destination), std::mem::take(&mut self.part));
        Self::open_new(destination, part)
    }

    fn open_new(destination: PathBuf, part: PathBuf) -> Result<(Self, File), ExportError> {
        let made = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&part);
        let file = made.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => busy_error(&destination),
            _ => ExportError::write(&destination, error),
        })?;
        // On a file system without locks the job continues without one.
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            return Err(busy_error(&destination));
        }
        let metadata = file.metadata().map_err(|error| ExportError::write(&part, error))?;
        let inode = (metadata.dev(), metadata.ino());
        Ok((
            Self {
                destination,
                part,
                inode,
            },
            file,
        ))
    }

    /// The path of the part.
    pub(super) fn path(&self) -> &Path {
        &self.part
    }

    /// The path of the published file.
    pub(super) fn destination(&self) -> &Path {
        &self.destination
    }

    /// Renames the part to its destination. It must be on the disk already.
    ///
    /// # Errors
    /// The failure to rename it. The destination is left unchanged.
    pub(super) fn publish(self) -> Result<(), ExportError> {
        if !self.is_own() {
            return Err(busy_error(&self.destination));
        }
        fs::rename(&self.part, &self.destination).map_err(|error| ExportError::write(&self.destination, error))?;
        sync_parent(&self.destination)
    }

    fn is_own(&self) -> bool {
        fs::symlink_metadata(&self.part).is_ok_and(|found| (found.dev(), found.ino()) == self.inode)
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        // A published part no longer exists under its name, so this does nothing.
        if !self.part.as_os_str().is_empty() && self.is_own() {
            let _ = fs::remove_file(&self.part);
        }
    }
}

/// The part that a killed job left, locked so that only one job removes it; `None` if there is none.
fn lock_stale_part(destination: &Path, part: &Path) -> Result<Option<File>, ExportError> {
    loop {
        let flags = i32::try_from(OFlags::NOFOLLOW.bits() | OFlags::NONBLOCK.bits()).unwrap_or_default();
        let file = match OpenOptions::new().read(true).custom_flags(flags).open(part) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(ExportError::write(part, error)),
        };
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            return Err(busy_error(destination));
        }
        let held = file.metadata().map_err(|error| ExportError::write(part, error))?;
        match fs::symlink_metadata(part) {
            Ok(found) if (found.dev(), found.ino()) == (held.dev(), held.ino()) => return Ok(Some(file)),
            // Another job replaced it before the lock was acquired.
            _ => {}
        }
    }
}

fn busy_error(destination: &Path) -> ExportError {
    ExportError::write(
        destination,
        io::Error::other("another process is writing it: wait until that process has ended"),
    )
}

/// Resolves symbolic links, so that the target of a link is replaced and not the link.
fn resolve_links(destination: &Path) -> Result<PathBuf, ExportError> {
    match fs::canonicalize(destination) {
        Ok(path) => Ok(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(destination.to_owned()),
        Err(error) => Err(ExportError::write(destination, error)),
    }
}

/// A hidden path in the directory of `destination`.
fn hidden_path(destination: &Path, suffix: &str) -> Result<PathBuf, ExportError> {
    let name = destination
        .file_name()
        .ok_or_else(|| ExportError::refused(destination, "has no name: give the path of a file"))?;
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(suffix);
    Ok(destination.with_file_name(hidden))
}

fn part_path(destination: &Path) -> Result<PathBuf, ExportError> {
    hidden_path(destination, ".part")
}

/// Flushes the directory, so that a rename survives a power failure.
fn sync_parent(destination: &Path) -> Result<(), ExportError> {
    let parent = match destination.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(parent)
        .and_then(|directory| directory.sync_all())
        .map_err(|error| ExportError::write(destination, error))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_that_is_not_published_leaves_the_old_one_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let destination = directory.path().join("a.csv");
        fs::write(&destination, "old").unwrap();
        let (part, mut file) = PartFile::create(&destination).unwrap();
        file.write_all(b"new").unwrap();
        assert_eq!(names(directory.path()), [".a.csv.part", "a.csv"]);
        drop(part);
        assert_eq!(names(directory.path()), ["a.csv"]);
        assert_eq!(fs::read(&destination).unwrap(), b"old");
    }

    #[test]
    fn a_published_file_is_whole_its_owners_alone_and_replaces_the_old_one() {
        let directory = tempfile::tempdir().unwrap();
        let destination = directory.path().join("a.csv");
        fs::write(&destination, "old").unwrap();
        let (part, mut file) = PartFile::create(&destination).unwrap();
        file.write_all(b"new").unwrap();
        part.publish().unwrap();
        assert_eq!(names(directory.path()), ["a.csv"]);
        assert_eq!(fs::read(&destination).unwrap(), b"new");
        assert_eq!(fs::metadata(&destination).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_a_killed_job_left_is_replaced_and_what_a_running_one_writes_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let destination = directory.path().join("a.csv");
        fs::write(directory.path().join(".a.csv.part"), "half").unwrap();
        let (running, file) = PartFile::create(&destination).unwrap();
        assert_eq!(fs::read(running.path()).unwrap(), b"");
        let refused = PartFile::create(&destination).unwrap_err().to_string();
        assert!(refused.contains("another process is writing it"), "{refused}");
        assert_eq!(names(directory.path()), [".a.csv.part"]);
        drop((running, file));
        assert!(PartFile::create(&destination).is_ok());
    }

    #[test]
    fn a_renewed_part_keeps_what_was_written_open_and_the_name_free_for_the_rest() {
        let directory = tempfile::tempdir().unwrap();
        let (part, mut first) = PartFile::create(&directory.path().join("a.c1z")).unwrap();
        first.write_all(b"database").unwrap();
        let (part, second) = part.renew().unwrap();
        assert_eq!(first.metadata().unwrap().len(), 8);
        assert_eq!(second.metadata().unwrap().len(), 0);
        assert_eq!(names(directory.path()), [".a.c1z.part"]);
        drop(part);
        assert!(names(directory.path()).is_empty());
    }

    #[test]
    fn a_link_to_a_file_stays_one() {
        let directory = tempfile::tempdir().unwrap();
        let [behind, link] = ["behind.csv", "link.csv"].map(|name| directory.path().join(name));
        fs::write(&behind, "old").unwrap();
        std::os::unix::fs::symlink(&behind, &link).unwrap();
        let (part, mut file) = PartFile::create(&link).unwrap();
        file.write_all(b"new").unwrap();
        part.publish().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&behind).unwrap(), b"new");
    }

    #[test]
    fn what_is_not_a_file_is_refused_and_left() {
        let directory = tempfile::tempdir().unwrap();
        for destination in [directory.path(), Path::new("/dev/null")] {
            let refused = PartFile::create(destination).unwrap_err();
            assert!(matches!(refused, ExportError::Refused { .. }), "{refused}");
        }
    }
}
