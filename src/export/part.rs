//! Files and directories that are complete or not there.
//!
//! Both are written beside their place, as `.NAME.part`, and moved there when they are complete and on the disk. Whatever ends
//! the job before leaves the place as it was, and removes the part; a process that is killed leaves at most the part, which the
//! next one replaces. A lock on the part keeps two jobs from writing to one place: the system drops it with its process, so
//! it never outlives a killed one.

mod directory;

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::ExportError;
pub(super) use directory::PartDirectory;

/// A file on its way to its place. Dropping it removes what was written.
#[derive(Debug)]
pub(super) struct PartFile {
    place: PathBuf,
    part: PathBuf,
    /// The inode that this job made: whatever else is found under the name belongs to another job.
    inode: (u64, u64),
}

impl PartFile {
    /// Makes an empty, locked file beside `place`, which only its owner may read. The lock is the file's: it lasts until the
    /// file is closed.
    ///
    /// # Errors
    /// Refused where something other than a file is at the place; otherwise where the directory cannot be written, or
    /// another process is writing there.
    pub(super) fn create(place: &Path) -> Result<(Self, File), ExportError> {
        let place = resolved(place)?;
        match fs::metadata(&place) {
            Ok(metadata) if metadata.is_dir() => {
                return Err(ExportError::refused(
                    &place,
                    "is a directory: give a file, or --format json",
                ));
            }
            Ok(metadata) if !metadata.is_file() => {
                return Err(ExportError::refused(
                    &place,
                    "is not a regular file: give a path for a new one",
                ));
            }
            _ => {}
        }
        let part = part_of(&place)?;
        let stale = stale(&place, &part)?;
        if stale.is_some() {
            fs::remove_file(&part).map_err(|error| ExportError::write(&part, error))?;
        }
        Self::open_new(place, part)
    }

    /// Gives the name up to a new file. What was written so far lives on without a name, for as long as it is open.
    ///
    /// # Errors
    /// As for the first file.
    pub(super) fn renew(mut self) -> Result<(Self, File), ExportError> {
        fs::remove_file(&self.part).map_err(|error| ExportError::write(&self.part, error))?;
        let (place, part) = (std::mem::take(&mut self.place), std::mem::take(&mut self.part));
        Self::open_new(place, part)
    }

    fn open_new(place: PathBuf, part: PathBuf) -> Result<(Self, File), ExportError> {
        let made = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&part);
        let file = made.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => busy(&place),
            _ => ExportError::write(&place, error),
        })?;
        // A file system without locks is written to all the same.
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            return Err(busy(&place));
        }
        let metadata = file.metadata().map_err(|error| ExportError::write(&part, error))?;
        let inode = (metadata.dev(), metadata.ino());
        Ok((Self { place, part, inode }, file))
    }

    /// Where the file is until it is published.
    pub(super) fn path(&self) -> &Path {
        &self.part
    }

    /// Where the file will be.
    pub(super) fn place(&self) -> &Path {
        &self.place
    }

    /// Moves the file to its place. It must be on the disk already.
    ///
    /// # Errors
    /// Where it cannot be moved. The place is as it was.
    pub(super) fn publish(self) -> Result<(), ExportError> {
        if !self.is_ours() {
            return Err(busy(&self.place));
        }
        fs::rename(&self.part, &self.place).map_err(|error| ExportError::write(&self.place, error))?;
        sync_parent(&self.place)
    }

    fn is_ours(&self) -> bool {
        fs::symlink_metadata(&self.part).is_ok_and(|found| (found.dev(), found.ino()) == self.inode)
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        // After publishing the name is gone, and this finds nothing.
        if !self.part.as_os_str().is_empty() && self.is_ours() {
            let _ = fs::remove_file(&self.part);
        }
    }
}

/// What a killed job left under the name of the part, locked, so that only one job removes it; none where nothing is there.
fn stale(place: &Path, part: &Path) -> Result<Option<File>, ExportError> {
    loop {
        let flags = i32::try_from(OFlags::NOFOLLOW.bits() | OFlags::NONBLOCK.bits()).unwrap_or_default();
        let file = match OpenOptions::new().read(true).custom_flags(flags).open(part) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(ExportError::write(part, error)),
        };
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            return Err(busy(place));
        }
        let held = file.metadata().map_err(|error| ExportError::write(part, error))?;
        match fs::symlink_metadata(part) {
            Ok(found) if (found.dev(), found.ino()) == (held.dev(), held.ino()) => return Ok(Some(file)),
            // Another job replaced it before the lock was held.
            _ => {}
        }
    }
}

fn busy(place: &Path) -> ExportError {
    ExportError::write(
        place,
        io::Error::other("another process is writing it: wait until it has ended"),
    )
}

/// The path behind symbolic links, so that a link to a file stays one.
fn resolved(place: &Path) -> Result<PathBuf, ExportError> {
    match fs::canonicalize(place) {
        Ok(path) => Ok(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(place.to_owned()),
        Err(error) => Err(ExportError::write(place, error)),
    }
}

/// The hidden name beside a place.
fn beside(place: &Path, ending: &str) -> Result<PathBuf, ExportError> {
    let name = place
        .file_name()
        .ok_or_else(|| ExportError::refused(place, "has no name: give the path of a file"))?;
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(ending);
    Ok(place.with_file_name(hidden))
}

fn part_of(place: &Path) -> Result<PathBuf, ExportError> {
    beside(place, ".part")
}

/// Makes a rename outlive a power cut.
fn sync_parent(place: &Path) -> Result<(), ExportError> {
    let parent = match place.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(parent)
        .and_then(|directory| directory.sync_all())
        .map_err(|error| ExportError::write(place, error))
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
        let place = directory.path().join("a.csv");
        fs::write(&place, "old").unwrap();
        let (part, mut file) = PartFile::create(&place).unwrap();
        file.write_all(b"new").unwrap();
        assert_eq!(names(directory.path()), [".a.csv.part", "a.csv"]);
        drop(part);
        assert_eq!(names(directory.path()), ["a.csv"]);
        assert_eq!(fs::read(&place).unwrap(), b"old");
    }

    #[test]
    fn a_published_file_is_whole_its_owners_alone_and_replaces_the_old_one() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("a.csv");
        fs::write(&place, "old").unwrap();
        let (part, mut file) = PartFile::create(&place).unwrap();
        file.write_all(b"new").unwrap();
        part.publish().unwrap();
        assert_eq!(names(directory.path()), ["a.csv"]);
        assert_eq!(fs::read(&place).unwrap(), b"new");
        assert_eq!(fs::metadata(&place).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_a_killed_job_left_is_replaced_and_what_a_running_one_writes_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("a.csv");
        fs::write(directory.path().join(".a.csv.part"), "half").unwrap();
        let (running, file) = PartFile::create(&place).unwrap();
        assert_eq!(fs::read(running.path()).unwrap(), b"");
        let refused = PartFile::create(&place).unwrap_err().to_string();
        assert!(refused.contains("another process is writing it"), "{refused}");
        assert_eq!(names(directory.path()), [".a.csv.part"]);
        drop((running, file));
        assert!(PartFile::create(&place).is_ok());
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
        for place in [directory.path(), Path::new("/dev/null")] {
            let refused = PartFile::create(place).unwrap_err();
            assert!(matches!(refused, ExportError::Refused { .. }), "{refused}");
        }
    }
}
