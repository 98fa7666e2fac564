//! The file of a Unix socket: accessible only to its owner from the start, replaced if its process is gone, removed at the end.

use std::fs::{DirBuilder, Metadata, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};
use uuid::Uuid;

use super::listener::ListenError;

/// Checks that `path` can be bound. The socket of a process that is gone may be replaced; a live one, or a file that is not
/// a socket, is an error.
pub(crate) async fn remove_stale(path: &Path) -> Result<(), ListenError> {
    let Ok(found) = std::fs::symlink_metadata(path) else {
        return Ok(());
    };
    let named = || path.display().to_string();
    if !found.file_type().is_socket() {
        return Err(ListenError::NotSocket(named()));
    }
    match UnixStream::connect(path).await {
        // No process listens: the new socket replaces it.
        Err(error) if matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound) => Ok(()),
        // A process listens; its backlog may only be full.
        Err(error) if error.kind() != ErrorKind::WouldBlock => Err(ListenError::Refused {
            address: format!("unix:{}", path.display()),
            error,
        }),
        _ => Err(ListenError::Live(named())),
    }
}

/// Listens on `path`. The socket is bound in a private directory, and moved into place once its permissions are set.
pub(crate) fn bind(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    // In the same directory, because a rename works only within a file system; short, because a socket's path is limited;
    // and unique, so that it does not exist yet.
    let (unique, ..) = Uuid::new_v4().as_fields();
    let private = path.with_file_name(format!(".{unique:x}"));
    DirBuilder::new().mode(0o700).create(&private)?;
    let bound = bind_private(&private.join("s"), path);
    let _ = std::fs::remove_dir_all(&private);
    bound
}

fn bind_private(private: &Path, path: &Path) -> io::Result<(UnixListener, SocketFile)> {
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
        // Another process may have replaced the socket meanwhile.
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
        remove_stale(&path).await.unwrap();
        let (_listener, _file) = bind(&path).unwrap();
        // It accepts no connection, so its backlog fills; it is live all the same.
        let mut waiting = vec![];
        while let Ok(stream) = UnixStream::connect(&path).await {
            waiting.push(stream);
            if waiting.len() > 5_000 {
                break;
            }
        }
        assert!(matches!(remove_stale(&path).await, Err(ListenError::Live(_))));
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
