//! The file of a Unix socket: its owner's alone from its first moment, replaced when its process is gone, removed at the end.

use std::fs::{DirBuilder, Metadata, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};
use uuid::Uuid;

use super::listener::ListenError;

/// Makes sure that nothing is in the way. The socket of a process that is gone may be replaced; a live one, or a file that
/// is no socket, is left alone.
pub(crate) async fn make_way(path: &Path) -> Result<(), ListenError> {
    let Ok(found) = std::fs::symlink_metadata(path) else {
        return Ok(());
    };
    let named = || path.display().to_string();
    if !found.file_type().is_socket() {
        return Err(ListenError::NotSocket(named()));
    }
    match UnixStream::connect(path).await {
        // Nobody listens: what is bound here takes its place.
        Err(error) if matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound) => Ok(()),
        // Somebody does, and may only be too busy to take one more connection.
        Err(error) if error.kind() != ErrorKind::WouldBlock => Err(ListenError::Refused {
            address: format!("unix:{}", path.display()),
            error,
        }),
        _ => Err(ListenError::Live(named())),
    }
}

/// Listens on `path`. The socket is bound where only its owner can reach it, and moved into place once it is closed to
/// everybody else.
pub(crate) fn bind(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    // Beside the path, since a file moves only within its file system; short, since a socket's path has to be; and like no
    // other, so that nobody has made it before.
    let (unique, ..) = Uuid::new_v4().as_fields();
    let private = path.with_file_name(format!(".{unique:x}"));
    DirBuilder::new().mode(0o700).create(&private)?;
    let bound = bind_within(&private.join("s"), path);
    let _ = std::fs::remove_dir_all(&private);
    bound
}

fn bind_within(private: &Path, path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    let listener = UnixListener::bind(private)?;
    std::fs::set_permissions(private, Permissions::from_mode(0o600))?;
    let file = SocketFile {
        path: path.to_owned(),
        identity: identity(&std::fs::symlink_metadata(private)?),
    };
    std::fs::rename(private, path)?;
    Ok((listener, file))
}

/// A Unix socket's file, removed when the listener goes.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl SocketFile {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // A socket that somebody put in its place meanwhile is theirs.
        let found = std::fs::symlink_metadata(&self.path);
        if found.is_ok_and(|found| identity(&found) == self.identity) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn identity(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(directory).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[tokio::test]
    async fn a_socket_is_its_owners_and_nothing_else_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("connector.sock");
        let (listener, file) = bind(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(names(directory.path()), ["connector.sock"]);
        let (accepted, connected) = tokio::join!(listener.accept(), UnixStream::connect(&path));
        assert!(accepted.is_ok() && connected.is_ok());
        drop(file);
        assert_eq!(names(directory.path()), [""; 0]);
    }

    #[tokio::test]
    async fn a_dead_socket_is_replaced_and_a_live_one_is_not_even_when_it_is_busy() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("connector.sock");
        drop(UnixListener::bind(&path).unwrap());
        make_way(&path).await.unwrap();
        let (_listener, _file) = bind(&path).unwrap();
        // It accepts nobody, so that one day no more can wait; it lives all the same.
        let mut waiting = vec![];
        while let Ok(stream) = UnixStream::connect(&path).await {
            waiting.push(stream);
            if waiting.len() > 5_000 {
                break;
            }
        }
        assert!(matches!(make_way(&path).await, Err(ListenError::Live(_))));
    }

    #[tokio::test]
    async fn a_socket_that_took_its_place_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("connector.sock");
        let (_first, old) = bind(&path).unwrap();
        let (_second, _new) = bind(&path).unwrap();
        drop(old);
        assert!(path.exists());
    }
}
