//! A directory that is replaced atomically.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::{ExportError, busy_error, hidden_path, lock_stale_part, part_path, resolve_links, sync_parent};

/// The file that identifies a directory written by a sync.
const MARKER: &str = "grants.json";

/// A directory that is not published yet. Dropping it removes the part.
#[derive(Debug)]
pub(in crate::export) struct PartDirectory {
    destination: PathBuf,
    part: PathBuf,
    /// Holds the lock while the directory is written.
    _lock: File,
}

impl PartDirectory {
    /// Creates an empty, locked part for `destination`, which only its owner may enter.
    ///
    /// # Errors
    /// `Refused` if `destination` exists and is neither empty nor a directory that a sync wrote, or the failure to write to its
    /// parent, for instance because another process is writing.
    pub(in crate::export) fn create(destination: &Path) -> Result<Self, ExportError> {
        let destination = resolve_links(destination)?;
        let (part, old) = (part_path(&destination)?, hidden_path(&destination, ".old")?);
        recover(&destination, &old)?;
        reject_foreign_files(&destination)?;
        let held = lock_stale_part(&destination, &part)?;
        if held.is_some() {
            remove(&part).map_err(|error| ExportError::write(&part, error))?;
        }
        let made = DirBuilder::new().mode(0o700).create(&part);
        made.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => busy_error(&destination),
            _ => ExportError::write(&destination, error),
        })?;
        let lock = File::open(&part).map_err(|error| ExportError::write(&part, error))?;
        if let Err(TryLockError::WouldBlock) = lock.try_lock() {
            return Err(busy_error(&destination));
        }
        Ok(Self {
            destination,
            part,
            _lock: lock,
        })
    }

    /// The path of the part.
    pub(in crate::export) fn path(&self) -> &Path {
        &self.part
    }

    /// The path of the published directory.
    pub(in crate::export) fn destination(&self) -> &Path {
        &self.destination
    }

    /// Renames the part to its destination and removes the directory that it replaces. Its files must be on the disk already.
    ///
    /// # Errors
    /// The failure to rename it. The destination is left unchanged.
    pub(in crate::export) fn publish(self) -> Result<(), ExportError> {
        let failed = |error| ExportError::write(&self.destination, error);
        File::open(&self.part)
            .and_then(|part| part.sync_all())
            .map_err(failed)?;
        if fs::exists(&self.destination).map_err(failed)? {
            exchange(&self.part, &self.destination).map_err(failed)?;
        } else {
            fs::rename(&self.part, &self.destination).map_err(failed)?;
        }
        sync_parent(&self.destination)
    }
}

impl Drop for PartDirectory {
    fn drop(&mut self) {
        // After an exchange, the replaced directory has this name.
        let _ = remove(&self.part);
    }
}

/// Exchanges two directories. Afterwards the replaced one is at `part`, or removed.
fn exchange(part: &Path, destination: &Path) -> io::Result<()> {
    match renameat_with(CWD, part, CWD, destination, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::OPNOTSUPP) => {
            replace_in_two_steps(part, destination)
        }
        Err(error) => Err(error.into()),
    }
}

/// For file systems that cannot exchange: between the two renames the destination is absent, and [`recover`] restores it.
fn replace_in_two_steps(part: &Path, destination: &Path) -> io::Result<()> {
    let old = hidden_path(destination, ".old").map_err(io::Error::other)?;
    fs::rename(destination, &old)?;
    if let Err(error) = fs::rename(part, destination) {
        fs::rename(&old, destination)?;
        return Err(error);
    }
    remove(&old)
}

/// Restores the destination after a job was killed between the two renames.
fn recover(destination: &Path, old: &Path) -> Result<(), ExportError> {
    let failed = |error| ExportError::write(destination, error);
    if !fs::exists(old.join(MARKER)).map_err(failed)? {
        return Ok(());
    }
    if fs::exists(destination).map_err(failed)? {
        remove(old).map_err(failed)
    } else {
        fs::rename(old, destination).map_err(failed)
    }
}

/// Rejects a directory with files that no sync wrote: replacing it would delete them.
fn reject_foreign_files(destination: &Path) -> Result<(), ExportError> {
    let entries = match fs::read_dir(destination) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Err(ExportError::refused(
                destination,
                "is a file: the format `json` writes a directory, so give the path of one",
            ));
        }
        Err(error) => return Err(ExportError::write(destination, error)),
    };
    let (mut is_empty, mut has_marker, mut foreign) = (true, false, None);
    for entry in entries {
        let entry = entry.map_err(|error| ExportError::write(destination, error))?;
        is_empty = false;
        let name = entry.file_name();
        has_marker |= name == MARKER;
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if !is_file || Path::new(&name).extension().is_none_or(|ending| ending != "json") {
            foreign = Some(name);
        }
    }
    match foreign {
        _ if is_empty => Ok(()),
        _ if !has_marker => Err(ExportError::refused(
            destination,
            "contains files that are not from a sync and is left unchanged: give an empty directory or a new path",
        )),
        Some(foreign) => Err(ExportError::refused(
            destination,
            format!(
                "holds `{}` beside a sync, which would be lost: move it away, or give a new path",
                foreign.display()
            ),
        )),
        None => Ok(()),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(destination: &Path, text: &str) -> PartDirectory {
        let part = PartDirectory::create(destination).unwrap();
        fs::write(part.path().join(MARKER), text).unwrap();
        part
    }

    fn grants(destination: &Path) -> String {
        fs::read_to_string(destination.join(MARKER)).unwrap()
    }

    #[test]
    fn a_directory_is_exchanged_as_a_whole() {
        let root = tempfile::tempdir().unwrap();
        let destination = root.path().join("access");
        written(&destination, "1").publish().unwrap();
        fs::write(destination.join("pipelines.json"), "[]").unwrap();
        written(&destination, "2").publish().unwrap();
        assert_eq!(grants(&destination), "2");
        assert!(!destination.join("pipelines.json").exists());
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }

    #[test]
    fn two_renames_do_where_directories_cannot_be_exchanged() {
        let root = tempfile::tempdir().unwrap();
        let destination = root.path().join("access");
        written(&destination, "1").publish().unwrap();
        let part = written(&destination, "2");
        replace_in_two_steps(part.path(), &destination).unwrap();
        drop(part);
        assert_eq!(grants(&destination), "2");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_job_that_was_killed_between_two_renames_is_undone_by_the_next() {
        let root = tempfile::tempdir().unwrap();
        let destination = root.path().join("access");
        written(&destination, "1").publish().unwrap();
        fs::rename(&destination, root.path().join(".access.old")).unwrap();
        drop(written(&destination, "2"));
        assert_eq!(grants(&destination), "1");
    }

    #[test]
    fn a_directory_that_is_not_published_leaves_the_old_one_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let destination = root.path().join("access");
        written(&destination, "1").publish().unwrap();
        fs::create_dir(root.path().join(".access.part")).unwrap();
        drop(written(&destination, "2"));
        assert_eq!(grants(&destination), "1");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }

    #[test]
    fn directories_that_are_not_a_syncs_and_files_beside_one_are_never_lost() {
        let root = tempfile::tempdir().unwrap();
        let destination = root.path().join("access");
        fs::create_dir(&destination).unwrap();
        fs::write(destination.join("thesis.odt"), "ten years").unwrap();
        let refused = PartDirectory::create(&destination).unwrap_err();
        assert!(matches!(refused, ExportError::Refused { .. }), "{refused}");
        fs::write(destination.join(MARKER), "[]").unwrap();
        let refused = PartDirectory::create(&destination).unwrap_err().to_string();
        assert!(refused.contains("`thesis.odt`"), "{refused}");
        assert!(destination.join("thesis.odt").exists());
        assert!(PartDirectory::create(&destination.join("thesis.odt")).is_err());
    }

    #[test]
    fn a_directory_that_another_job_writes_is_not_taken_from_it() {
        let root = tempfile::tempdir().unwrap();
        let destination = root.path().join("access");
        let running = written(&destination, "1");
        assert!(PartDirectory::create(&destination).is_err());
        running.publish().unwrap();
        assert_eq!(grants(&destination), "1");
    }
}
