//! The credential in use: a fixed token, or a token from a file that may be replaced while the process runs.
//!
//! The file is read every two seconds, so that a new token is in use within five, and immediately when Buildkite
//! rejects the current token. A request keeps the token that it started with. If the file cannot be read, is not a
//! regular file, or does not contain a token, the current token stays in use and one error is logged. The file is
//! read on a thread of its own, so that a stalled disk blocks no call and no other blocking work delays the read.

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Mutex, Notify};
use tokio::time::{sleep, timeout};

use super::token::{ApiToken, CredentialError};
use crate::files;
use crate::files::{DiskThread, NotRegular};

/// Interval between two reads of the file.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// How long a reload waits for a read. A slower read continues, and its result is applied when it arrives.
const READ_TIMEOUT: Duration = Duration::from_secs(1);

/// Why a token file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenFileError {
    /// The file cannot be read.
    #[error("{file} cannot be read ({error}): check path and owner")]
    Unreadable {
        /// The path.
        file: String,
        /// The error of the system.
        error: std::io::Error,
    },
    /// The file is a pipe, a device or another special file.
    #[error("{file}: {error}: give a regular file, or set the token as BUILDKITE_API_TOKEN")]
    NotRegular {
        /// The path.
        file: String,
        /// The type of the file.
        error: std::io::Error,
    },
    /// The file does not contain a token.
    #[error("{file}: {error}")]
    NoToken {
        /// The path.
        file: String,
        /// What is wrong with its content.
        error: CredentialError,
    },
}

/// The token in use and its source.
#[derive(Debug)]
pub struct Credential {
    in_use: Arc<InUse>,
    /// The source of new tokens, if the token may change.
    source: Option<Source>,
}

/// A token file and the thread that reads it. A reload locks the file, so that reads of a file that hangs do not
/// queue on the thread.
#[derive(Debug)]
struct Source {
    file: Arc<Mutex<TokenFile>>,
    thread: DiskThread,
}

/// Reads the current token from its file.
struct TokenFile(Box<dyn Fn() -> Result<ApiToken, TokenFileError> + Send>);

impl fmt::Debug for TokenFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenFile")
    }
}

#[derive(Debug)]
struct InUse {
    token: ArcSwap<ApiToken>,
    replaced: Notify,
    unusable_reported: AtomicBool,
}

impl From<ApiToken> for Credential {
    fn from(token: ApiToken) -> Self {
        Self {
            in_use: Arc::new(InUse {
                token: ArcSwap::from_pointee(token),
                replaced: Notify::new(),
                unusable_reported: AtomicBool::new(false),
            }),
            source: None,
        }
    }
}

impl Credential {
    /// Creates a credential from the token in `file`, which is reloaded when it changes.
    ///
    /// # Errors
    /// If the file cannot be used now.
    pub fn from_file(file: PathBuf) -> Result<Self, TokenFileError> {
        Self::read_by(move || read(&file))
    }

    fn read_by(read: impl Fn() -> Result<ApiToken, TokenFileError> + Send + 'static) -> Result<Self, TokenFileError> {
        let token = read()?;
        Ok(Self {
            source: Some(Source {
                file: Arc::new(Mutex::new(TokenFile(Box::new(read)))),
                thread: DiskThread::new("token-file"),
            }),
            ..Self::from(token)
        })
    }

    /// The token in use now, independent of later changes of the file.
    #[must_use]
    pub fn pinned(&self) -> Self {
        ApiToken::clone(&self.current()).into()
    }

    /// The token to start a request with.
    pub(crate) fn current(&self) -> Arc<ApiToken> {
        self.in_use.token.load_full()
    }

    /// Reads the file, and returns whether the token in use now differs from `used`.
    pub(crate) async fn refresh_if_changed(&self, used: &ApiToken) -> bool {
        self.reload().await;
        !self.current().is_same_as(used)
    }

    /// Polls the file; never resolves.
    pub async fn watch(&self) {
        loop {
            sleep(POLL_INTERVAL).await;
            self.reload().await;
        }
    }

    /// Resolves once the token was replaced. Supports one listener at a time.
    pub async fn replaced(&self) {
        self.in_use.replaced.notified().await;
    }

    /// Reads the file now, and returns when it was read or the read timed out.
    pub async fn reload(&self) {
        let Some(source) = &self.source else {
            return;
        };
        let read = async {
            let file = Arc::clone(&source.file).lock_owned().await;
            let in_use = Arc::clone(&self.in_use);
            source.thread.run(move || in_use.apply((file.0)())).await
        };
        match timeout(READ_TIMEOUT, read).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.in_use.report_unusable(&error),
            Err(_) => self.in_use.report_unusable(&"it cannot be read in time"),
        }
    }
}

impl InUse {
    /// Applies the result of a read.
    fn apply(&self, read: Result<ApiToken, TokenFileError>) {
        match read {
            Ok(token) => {
                self.unusable_reported.store(false, Ordering::Relaxed);
                if !token.is_same_as(&self.token.load()) {
                    self.token.store(Arc::new(token));
                    self.replaced.notify_one();
                    tracing::info!("the token file changed: the new token is in use");
                }
            }
            Err(error) => self.report_unusable(&error),
        }
    }

    /// Logs that the file cannot be used, once until it can be used again: an error at every poll would fill the log.
    fn report_unusable(&self, error: &dyn Display) {
        if !self.unusable_reported.swap(true, Ordering::Relaxed) {
            tracing::error!(error = %error, "the token file cannot be used, and the token in use stays");
        }
    }
}

fn read(file: &Path) -> Result<ApiToken, TokenFileError> {
    let path = || file.display().to_string();
    let text = files::read_text(file).map_err(|error| {
        if NotRegular::is(&error) {
            TokenFileError::NotRegular { file: path(), error }
        } else {
            TokenFileError::Unreadable { file: path(), error }
        }
    })?;
    text.parse()
        .map_err(|error| TokenFileError::NoToken { file: path(), error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_changed_file_is_used_and_an_unusable_one_keeps_the_token() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        std::fs::write(&file, "bkua_0000000000000000\n").unwrap();
        let credential = Credential::from_file(file.clone()).unwrap();
        let first = credential.current();
        assert!(!credential.refresh_if_changed(&first).await);

        std::fs::write(&file, "bkua_1111111111111111\n").unwrap();
        assert!(credential.refresh_if_changed(&first).await);

        let second = credential.current();
        for broken in ["", "two words"] {
            std::fs::write(&file, broken).unwrap();
            assert!(!credential.refresh_if_changed(&second).await);
        }
        std::fs::remove_file(&file).unwrap();
        assert!(!credential.refresh_if_changed(&second).await);
    }

    #[tokio::test]
    async fn a_token_without_a_file_never_changes() {
        let token: ApiToken = "bkua_0000000000000000".parse().unwrap();
        assert!(!Credential::from(token.clone()).refresh_if_changed(&token).await);
    }

    #[tokio::test]
    async fn a_pipe_is_rejected_at_startup_and_on_reload() {
        let directory = tempfile::tempdir().unwrap();
        let (file, pipe) = (directory.path().join("token"), directory.path().join("pipe"));
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        let rejected = Credential::from_file(pipe.clone()).unwrap_err().to_string();
        assert!(
            rejected.contains("a pipe") && rejected.contains("BUILDKITE_API_TOKEN"),
            "{rejected}"
        );

        std::fs::write(&file, "bkua_0000000000000000\n").unwrap();
        let credential = Credential::from_file(file.clone()).unwrap();
        let first = credential.current();
        std::fs::rename(&pipe, &file).unwrap();
        assert!(!credential.refresh_if_changed(&first).await);
        assert!(credential.in_use.unusable_reported.load(Ordering::Relaxed));
        std::fs::remove_file(&file).unwrap();
        std::fs::write(&file, "bkua_1111111111111111\n").unwrap();
        assert!(credential.refresh_if_changed(&first).await);
    }

    #[tokio::test]
    async fn a_read_that_hangs_blocks_nothing_and_its_token_is_applied_when_it_arrives() {
        let (release, released) = std::sync::mpsc::channel::<&str>();
        release.send("bkua_0000000000000000").unwrap();
        // Blocks until a token is sent, like a stalled disk.
        let credential = Credential::read_by(move || Ok(released.recv().unwrap().parse().unwrap())).unwrap();
        let first = credential.current();
        for _ in 0..2 {
            assert!(!credential.refresh_if_changed(&first).await);
        }
        release.send("bkua_1111111111111111").unwrap();
        while credential.current().is_same_as(&first) {
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn a_new_token_is_used_although_the_blocking_pool_of_the_runtime_is_full() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(1)
            .build()
            .unwrap();
        let (_release, released) = std::sync::mpsc::channel::<()>();
        runtime.spawn_blocking(move || released.recv());
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        std::fs::write(&file, "bkua_0000000000000000").unwrap();
        let credential = Credential::from_file(file.clone()).unwrap();
        let first = credential.current();
        std::fs::write(&file, "bkua_1111111111111111").unwrap();
        assert!(runtime.block_on(credential.refresh_if_changed(&first)));
    }
}
