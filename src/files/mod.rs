//! Files that an operator names: the token, certificates, callers, the audit record.
//!
//! Each has to be a regular file, after symbolic links. A pipe, a device or a socket is refused: opening, reading or writing it
//! may wait for another process for ever. Files are opened without waiting, so that one that becomes a pipe between two looks
//! holds up nothing. A disk can still stall; [`DiskThread`] keeps what waits for it away from everything else.

mod thread;

use std::fs::{File, FileType, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

pub(crate) use thread::DiskThread;

/// Opening waits for no other process, and makes no terminal this process' own.
const FLAGS: i32 = libc::O_NONBLOCK | libc::O_NOCTTY;

/// A path leads to something else than a regular file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is {0}, not a regular file")]
pub(crate) struct NotRegular(&'static str);

impl NotRegular {
    /// Whether that is what an error says.
    pub(crate) fn is(error: &io::Error) -> bool {
        error.get_ref().and_then(|inner| inner.downcast_ref::<Self>()).is_some()
    }
}

/// Opens a file to be read.
///
/// # Errors
/// Those of the system, and [`NotRegular`].
pub(crate) fn open(path: &Path) -> io::Result<File> {
    open_with(OpenOptions::new().read(true), path)
}

/// Opens a file that is appended to, or makes it with these rights.
///
/// # Errors
/// As for [`open`].
pub(crate) fn open_to_append(path: &Path, mode: u32) -> io::Result<File> {
    open_with(OpenOptions::new().create(true).append(true).mode(mode), path)
}

/// Everything that a file holds.
///
/// # Errors
/// As for [`open`], and those of reading.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut contents = Vec::new();
    open(path)?.read_to_end(&mut contents)?;
    Ok(contents)
}

/// Everything that a file holds, as text.
///
/// # Errors
/// As for [`read`], and where it is no UTF-8.
pub(crate) fn read_text(path: &Path) -> io::Result<String> {
    String::from_utf8(read(path)?).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is no UTF-8 text"))
}

fn open_with(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    // Before it is opened, because opening alone may have an effect on a device, and fails otherwise on a socket.
    if let Ok(found) = std::fs::metadata(path) {
        is_regular(&found)?;
    }
    let file = options.custom_flags(FLAGS).open(path)?;
    is_regular(&file.metadata()?)?;
    Ok(file)
}

fn is_regular(found: &Metadata) -> io::Result<()> {
    if found.is_file() {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        NotRegular(kind(found.file_type())),
    ))
}

fn kind(of: FileType) -> &'static str {
    if of.is_dir() {
        "a directory"
    } else if of.is_fifo() {
        "a pipe"
    } else if of.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn what_is_no_regular_file_is_refused_at_once_by_its_kind() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let made = std::process::Command::new("mkfifo").arg(at("pipe")).status().unwrap();
        assert!(made.success());
        let _socket = UnixListener::bind(at("socket")).unwrap();
        std::os::unix::fs::symlink(at("pipe"), at("link")).unwrap();
        for (path, kind) in [
            (at("pipe"), "a pipe"),
            (at("link"), "a pipe"),
            (at("socket"), "a socket"),
            (directory.path().to_owned(), "a directory"),
            ("/dev/null".into(), "a device"),
        ] {
            for refused in [read(&path).map(drop), open_to_append(&path, 0o600).map(drop)] {
                let refused = refused.unwrap_err();
                assert!(NotRegular::is(&refused), "{refused}");
                assert_eq!(refused.to_string(), format!("it is {kind}, not a regular file"));
            }
        }
        assert!(!NotRegular::is(&read(&at("missing")).unwrap_err()));
    }

    #[test]
    fn a_link_that_leads_to_a_regular_file_is_followed() {
        let directory = tempfile::tempdir().unwrap();
        let (file, link) = (directory.path().join("file"), directory.path().join("link"));
        std::fs::write(&file, "text").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(read_text(&link).unwrap(), "text");
        assert!(open_to_append(&link, 0o600).is_ok());
    }
}
