//! Files that an operator names: the token, certificates, callers, the audit record.
//!
//! Each must be a regular file after symbolic links are resolved. Pipes, devices and sockets are rejected: opening,
//! reading or writing one may block on another process forever. Files are opened without blocking, so that a file
//! that is replaced by a pipe between two reads blocks nothing. A disk can still stall; [`DiskThread`] isolates
//! blocking work.

mod thread;

use std::fs::{File, FileType, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

pub(crate) use thread::{DiskThread, RunError};

/// Open without blocking on another process, and without acquiring a controlling terminal.
const FLAGS: i32 = libc::O_NONBLOCK | libc::O_NOCTTY;

/// The path does not lead to a regular file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is {0}, not a regular file")]
pub(crate) struct NotRegular(&'static str);

impl NotRegular {
    /// Whether this is the cause of an error.
    pub(crate) fn is(error: &io::Error) -> bool {
        error.get_ref().and_then(|inner| inner.downcast_ref::<Self>()).is_some()
    }
}

/// Opens a file for reading.
///
/// # Errors
/// Errors of the system, and [`NotRegular`].
pub(crate) fn open(path: &Path) -> io::Result<File> {
    open_with(OpenOptions::new().read(true), path)
}

/// Opens a file for appending, or creates it with these permissions.
///
/// # Errors
/// As for [`open`].
pub(crate) fn open_to_append(path: &Path, mode: u32) -> io::Result<File> {
    open_with(OpenOptions::new().create(true).append(true).mode(mode), path)
}

/// Reads a complete file.
///
/// # Errors
/// As for [`open`], and errors of reading.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut contents = Vec::new();
    open(path)?.read_to_end(&mut contents)?;
    Ok(contents)
}

/// Reads a complete file as text.
///
/// # Errors
/// As for [`read`], and `InvalidData` if the file is not UTF-8.
pub(crate) fn read_text(path: &Path) -> io::Result<String> {
    String::from_utf8(read(path)?).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text"))
}

fn open_with(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    // Checked before opening, because opening a device may have an effect, and opening a socket fails with another
    // error.
    if let Ok(metadata) = std::fs::metadata(path) {
        require_regular(&metadata)?;
    }
    let file = options.custom_flags(FLAGS).open(path)?;
    require_regular(&file.metadata()?)?;
    Ok(file)
}

fn require_regular(metadata: &Metadata) -> io::Result<()> {
    if metadata.is_file() {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        NotRegular(file_kind(metadata.file_type())),
    ))
}

fn file_kind(file_type: FileType) -> &'static str {
    if file_type.is_dir() {
        "a directory"
    } else if file_type.is_fifo() {
        "a pipe"
    } else if file_type.is_socket() {
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
    fn a_special_file_is_rejected_immediately_with_its_kind() {
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
            for rejected in [read(&path).map(drop), open_to_append(&path, 0o600).map(drop)] {
                let rejected = rejected.unwrap_err();
                assert!(NotRegular::is(&rejected), "{rejected}");
                assert_eq!(rejected.to_string(), format!("it is {kind}, not a regular file"));
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
