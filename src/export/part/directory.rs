//! A directory that is exchanged as a whole.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::{ExportError, beside, busy, part_of, resolved, stale, sync_parent};

/// The file by which a directory is known to be a sync's.
const MARK: &str = "grants.json";

/// A directory on its way to its place. Dropping it removes what was written.
#[derive(Debug)]
pub(in super::super) struct PartDirectory {
    place: PathBuf,
    part: PathBuf,
    /// Holds the lock for as long as the directory is written.
    _lock: File,
}

impl PartDirectory {
    /// Makes an empty, locked directory beside `place`, which only its owner may enter.
    ///
    /// # Errors
    /// Refused where what is at the place is not a directory that a sync wrote, or an empty one; otherwise where the parent cannot
    /// be written, or another process is writing there.
    pub(in super::super) fn create(place: &Path) -> Result<Self, ExportError> {
        let place = resolved(place)?;
        let (part, old) = (part_of(&place)?, beside(&place, ".old")?);
        recover(&place, &old)?;
        refuse_what_is_not_a_syncs(&place)?;
        let held = stale(&place, &part)?;
        if held.is_some() {
            remove(&part).map_err(|error| ExportError::write(&part, error))?;
        }
        let made = DirBuilder::new().mode(0o700).create(&part);
        made.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => busy(&place),
            _ => ExportError::write(&place, error),
        })?;
        let lock = File::open(&part).map_err(|error| ExportError::write(&part, error))?;
        if let Err(TryLockError::WouldBlock) = lock.try_lock() {
            return Err(busy(&place));
        }
        Ok(Self {
            place,
            part,
            _lock: lock,
        })
    }

    /// Where the directory is until it is published.
    pub(in super::super) fn path(&self) -> &Path {
        &self.part
    }

    /// Where the directory will be.
    pub(in super::super) fn place(&self) -> &Path {
        &self.place
    }

    /// Puts the directory into its place and removes the one that was there. Its files must be on the disk already.
    ///
    /// # Errors
    /// Where it cannot be moved. The place is as it was.
    pub(in super::super) fn publish(self) -> Result<(), ExportError> {
        let failed = |error| ExportError::write(&self.place, error);
        File::open(&self.part)
            .and_then(|part| part.sync_all())
            .map_err(failed)?;
        if fs::exists(&self.place).map_err(failed)? {
            exchange(&self.part, &self.place).map_err(failed)?;
        } else {
            fs::rename(&self.part, &self.place).map_err(failed)?;
        }
        sync_parent(&self.place)
    }
}

impl Drop for PartDirectory {
    fn drop(&mut self) {
        // After an exchange, the old directory has this name.
        let _ = remove(&self.part);
    }
}

/// Exchanges two directories; afterwards the old one is at `part`, or gone.
fn exchange(part: &Path, place: &Path) -> io::Result<()> {
    match renameat_with(CWD, part, CWD, place, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::OPNOTSUPP) => {
            in_two_steps(part, place)
        }
        Err(error) => Err(error.into()),
    }
}

/// For file systems that cannot exchange: between the two renames nothing is at the place, and [`recover`] mends that.
fn in_two_steps(part: &Path, place: &Path) -> io::Result<()> {
    let old = beside(place, ".old").map_err(io::Error::other)?;
    fs::rename(place, &old)?;
    if let Err(error) = fs::rename(part, place) {
        fs::rename(&old, place)?;
        return Err(error);
    }
    remove(&old)
}

/// Undoes what a job that was killed between two renames left.
fn recover(place: &Path, old: &Path) -> Result<(), ExportError> {
    let failed = |error| ExportError::write(place, error);
    if !fs::exists(old.join(MARK)).map_err(failed)? {
        return Ok(());
    }
    if fs::exists(place).map_err(failed)? {
        remove(old).map_err(failed)
    } else {
        fs::rename(old, place).map_err(failed)
    }
}

/// A directory is replaced with all that is in it, so it must hold nothing but what a sync wrote.
fn refuse_what_is_not_a_syncs(place: &Path) -> Result<(), ExportError> {
    let entries = match fs::read_dir(place) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Err(ExportError::refused(
                place,
                "is a file: the format `json` writes a directory, so give the path of one",
            ));
        }
        Err(error) => return Err(ExportError::write(place, error)),
    };
    let (mut is_empty, mut is_a_syncs, mut foreign) = (true, false, None);
    for entry in entries {
        let entry = entry.map_err(|error| ExportError::write(place, error))?;
        is_empty = false;
        let name = entry.file_name();
        is_a_syncs |= name == MARK;
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if !is_file || Path::new(&name).extension().is_none_or(|ending| ending != "json") {
            foreign = Some(name);
        }
    }
    match foreign {
        _ if is_empty => Ok(()),
        _ if !is_a_syncs => Err(ExportError::refused(
            place,
            "holds other things than a sync and is left as it is: give an empty directory or a new path",
        )),
        Some(foreign) => Err(ExportError::refused(
            place,
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

    fn written(place: &Path, text: &str) -> PartDirectory {
        let part = PartDirectory::create(place).unwrap();
        fs::write(part.path().join(MARK), text).unwrap();
        part
    }

    fn grants(place: &Path) -> String {
        fs::read_to_string(place.join(MARK)).unwrap()
    }

    #[test]
    fn a_directory_is_exchanged_as_a_whole() {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join("access");
        written(&place, "1").publish().unwrap();
        fs::write(place.join("pipelines.json"), "[]").unwrap();
        written(&place, "2").publish().unwrap();
        assert_eq!(grants(&place), "2");
        assert!(!place.join("pipelines.json").exists());
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }

    #[test]
    fn two_renames_do_where_directories_cannot_be_exchanged() {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join("access");
        written(&place, "1").publish().unwrap();
        let part = written(&place, "2");
        in_two_steps(part.path(), &place).unwrap();
        drop(part);
        assert_eq!(grants(&place), "2");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_job_that_was_killed_between_two_renames_is_undone_by_the_next() {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join("access");
        written(&place, "1").publish().unwrap();
        fs::rename(&place, root.path().join(".access.old")).unwrap();
        drop(written(&place, "2"));
        assert_eq!(grants(&place), "1");
    }

    #[test]
    fn a_directory_that_is_not_published_leaves_the_old_one_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join("access");
        written(&place, "1").publish().unwrap();
        fs::create_dir(root.path().join(".access.part")).unwrap();
        drop(written(&place, "2"));
        assert_eq!(grants(&place), "1");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }

    #[test]
    fn directories_that_are_not_a_syncs_and_files_beside_one_are_never_lost() {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join("access");
        fs::create_dir(&place).unwrap();
        fs::write(place.join("thesis.odt"), "ten years").unwrap();
        let refused = PartDirectory::create(&place).unwrap_err();
        assert!(matches!(refused, ExportError::Refused { .. }), "{refused}");
        fs::write(place.join(MARK), "[]").unwrap();
        let refused = PartDirectory::create(&place).unwrap_err().to_string();
        assert!(refused.contains("`thesis.odt`"), "{refused}");
        assert!(place.join("thesis.odt").exists());
        assert!(PartDirectory::create(&place.join("thesis.odt")).is_err());
    }

    #[test]
    fn a_directory_that_another_job_writes_is_not_taken_from_it() {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join("access");
        let running = written(&place, "1");
        assert!(PartDirectory::create(&place).is_err());
        running.publish().unwrap();
        assert_eq!(grants(&place), "1");
    }
}
