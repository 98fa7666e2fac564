//! The credential in use: a token that stays, or one from a file that is replaced while we run.
//!
//! The file is read again every other second, so that a new token is used within five, and at once when Buildkite rejects
//! the one in use. A request ends with the token that it began with. A file that cannot be read, or holds no token, keeps the
//! token in use, and says so once. It is read beside the runtime's own thread: a share that hangs, or a pipe that nobody writes
//! to, holds up no call.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Mutex, Notify};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::credential::{ApiToken, CredentialError};

/// Between two looks at the file.
const EVERY: Duration = Duration::from_secs(2);

/// How long a look is waited for. One that takes longer goes on, and what it finds is used.
const LOOK: Duration = Duration::from_secs(1);

/// Why a token file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum TokenFileError {
    /// It cannot be read.
    #[error("{file} cannot be read ({error}): check path and owner")]
    Unreadable {
        /// Which file.
        file: String,
        /// What the system says.
        error: std::io::Error,
    },
    /// It holds no token.
    #[error("{file}: {error}")]
    NoToken {
        /// Which file.
        file: String,
        /// What is wrong with what it holds.
        error: CredentialError,
    },
}

/// The token in use, and where the next one comes from.
#[derive(Debug)]
pub struct Credential {
    in_use: Arc<InUse>,
    /// Where the next token comes from, if it may change. Whoever reads it holds this, so that a file that hangs holds up one
    /// thread and no more.
    file: Option<Arc<Mutex<PathBuf>>>,
}

#[derive(Debug)]
struct InUse {
    token: ArcSwap<ApiToken>,
    replaced: Notify,
    in_trouble: AtomicBool,
}

impl From<ApiToken> for Credential {
    fn from(token: ApiToken) -> Self {
        Self {
            in_use: Arc::new(InUse {
                token: ArcSwap::from_pointee(token),
                replaced: Notify::new(),
                in_trouble: AtomicBool::new(false),
            }),
            file: None,
        }
    }
}

impl Credential {
    /// The token in `file`, and whatever it holds later.
    ///
    /// # Errors
    /// When it holds none now.
    pub fn from_file(file: PathBuf) -> Result<Self, TokenFileError> {
        let token = read(&file)?;
        Ok(Self {
            file: Some(Arc::new(Mutex::new(file))),
            ..Self::from(token)
        })
    }

    /// The token to begin a request with.
    pub(super) fn current(&self) -> Arc<ApiToken> {
        self.in_use.token.load_full()
    }

    /// Reads the file again; whether the token is now another one than `used`.
    pub(super) async fn has_another_than(&self, used: &ApiToken) -> bool {
        self.look().await;
        !self.current().is_same_as(used)
    }

    /// Looks at the file for as long as it is polled; never resolves.
    pub async fn watch(&self) {
        loop {
            sleep(EVERY).await;
            self.look().await;
        }
    }

    /// Looks at the file now, and returns once it was looked at.
    pub async fn read_again(&self) {
        self.look().await;
    }

    /// Resolves once the token is another one than it was. One listener at a time.
    pub async fn replaced(&self) {
        self.in_use.replaced.notified().await;
    }

    async fn look(&self) {
        let Some(file) = &self.file else {
            return;
        };
        let looked = async {
            let file = Arc::clone(file).lock_owned().await;
            let in_use = Arc::clone(&self.in_use);
            spawn_blocking(move || in_use.found(read(&file))).await
        };
        if timeout(LOOK, looked).await.is_err() {
            self.in_use.in_doubt(&"it cannot be read in time");
        }
    }
}

impl InUse {
    /// The file was read.
    fn found(&self, read: Result<ApiToken, TokenFileError>) {
        match read {
            Ok(token) => {
                self.in_trouble.store(false, Ordering::Relaxed);
                if !token.is_same_as(&self.token.load()) {
                    self.token.store(Arc::new(token));
                    self.replaced.notify_one();
                    tracing::info!("the token file changed: the new token is in use");
                }
            }
            Err(error) => self.in_doubt(&error),
        }
    }

    /// The file is of no use. Once is enough: told at every look, it would fill the log.
    fn in_doubt(&self, why: &dyn Display) {
        if !self.in_trouble.swap(true, Ordering::Relaxed) {
            tracing::error!(error = %why, "the token file cannot be used, and the token in use stays");
        }
    }
}

fn read(file: &Path) -> Result<ApiToken, TokenFileError> {
    let named = || file.display().to_string();
    let text = std::fs::read_to_string(file).map_err(|error| TokenFileError::Unreadable { file: named(), error })?;
    text.parse()
        .map_err(|error| TokenFileError::NoToken { file: named(), error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_that_changes_is_used_and_one_that_breaks_keeps_the_token() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        std::fs::write(&file, "bkua_0000000000000000\n").unwrap();
        let credential = Credential::from_file(file.clone()).unwrap();
        let first = credential.current();
        assert!(!credential.has_another_than(&first).await);

        std::fs::write(&file, "bkua_1111111111111111\n").unwrap();
        assert!(credential.has_another_than(&first).await);

        let second = credential.current();
        for broken in ["", "two words"] {
            std::fs::write(&file, broken).unwrap();
            assert!(!credential.has_another_than(&second).await);
        }
        std::fs::remove_file(&file).unwrap();
        assert!(!credential.has_another_than(&second).await);
    }

    #[tokio::test]
    async fn a_token_without_a_file_stays() {
        let token: ApiToken = "bkua_0000000000000000".parse().unwrap();
        assert!(!Credential::from(token.clone()).has_another_than(&token).await);
    }

    #[tokio::test]
    async fn a_file_that_hangs_holds_up_nobody_and_is_used_once_it_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        std::fs::write(&file, "bkua_0000000000000000\n").unwrap();
        let credential = Credential::from_file(file.clone()).unwrap();
        let first = credential.current();
        std::fs::remove_file(&file).unwrap();
        let made = std::process::Command::new("mkfifo").arg(&file).status().unwrap();
        assert!(made.success());
        for _ in 0..2 {
            assert!(!credential.has_another_than(&first).await);
        }
        // Whoever opens the pipe to write lets the one look go on that waits for it.
        std::fs::write(&file, "bkua_1111111111111111\n").unwrap();
        while credential.current().is_same_as(&first) {
            sleep(Duration::from_millis(10)).await;
        }
    }
}
