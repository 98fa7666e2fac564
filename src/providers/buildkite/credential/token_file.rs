//! The credential in use: a token that stays, or one from a file that is replaced while we run.
//!
//! The file is read again every other second, so that a new token is used within five, and at once when Buildkite rejects
//! the one in use. A request ends with the token that it began with. A file that cannot be read, is no regular file, or holds no
//! token, keeps the token in use, and says so once. It is read on a thread of its own: a disk that stalls holds up no call, and
//! nothing else that stalls holds up the look.

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
    /// It is a pipe, a device or the like.
    #[error("{file}: {error}: give a regular file, or set the token as BUILDKITE_API_TOKEN")]
    NotRegular {
        /// Which file.
        file: String,
        /// What it is instead.
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
    /// Where the next token comes from, if it may change.
    source: Option<Source>,
}

/// A token file, and the thread that reads it. Every look holds the file, so that looks at one that hangs do not queue.
#[derive(Debug)]
struct Source {
    file: Arc<Mutex<TokenFile>>,
    thread: DiskThread,
}

/// Reads the token that is there now.
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
            source: None,
        }
    }
}

impl Credential {
    /// The token in `file`, and whatever it holds later.
    ///
    /// # Errors
    /// When it holds none now.
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

    /// The token to begin a request with.
    pub(crate) fn current(&self) -> Arc<ApiToken> {
        self.in_use.token.load_full()
    }

    /// Reads the file again; whether the token is now another one than `used`.
    pub(crate) async fn has_another_than(&self, used: &ApiToken) -> bool {
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
        let Some(source) = &self.source else {
            return;
        };
        let looked = async {
            let file = Arc::clone(&source.file).lock_owned().await;
            let in_use = Arc::clone(&self.in_use);
            source.thread.run(move || in_use.found((file.0)())).await
        };
        match timeout(LOOK, looked).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.in_use.in_doubt(&error),
            Err(_) => self.in_use.in_doubt(&"it cannot be read in time"),
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
    let text = files::read_text(file).map_err(|error| {
        if NotRegular::is(&error) {
            TokenFileError::NotRegular { file: named(), error }
        } else {
            TokenFileError::Unreadable { file: named(), error }
        }
    })?;
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
    async fn a_pipe_is_refused_at_the_start_and_in_place_of_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let (file, pipe) = (directory.path().join("token"), directory.path().join("pipe"));
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        let refused = Credential::from_file(pipe.clone()).unwrap_err().to_string();
        assert!(
            refused.contains("a pipe") && refused.contains("BUILDKITE_API_TOKEN"),
            "{refused}"
        );

        std::fs::write(&file, "bkua_0000000000000000\n").unwrap();
        let credential = Credential::from_file(file.clone()).unwrap();
        let first = credential.current();
        std::fs::rename(&pipe, &file).unwrap();
        assert!(!credential.has_another_than(&first).await);
        assert!(credential.in_use.in_trouble.load(Ordering::Relaxed));
        std::fs::remove_file(&file).unwrap();
        std::fs::write(&file, "bkua_1111111111111111\n").unwrap();
        assert!(credential.has_another_than(&first).await);
    }

    #[tokio::test]
    async fn a_read_that_hangs_holds_up_nothing_and_its_token_is_used_once_it_is_there() {
        let (release, released) = std::sync::mpsc::channel::<&str>();
        release.send("bkua_0000000000000000").unwrap();
        // It waits until a token is sent, as a disk that stalls does.
        let credential = Credential::read_by(move || Ok(released.recv().unwrap().parse().unwrap())).unwrap();
        let first = credential.current();
        for _ in 0..2 {
            assert!(!credential.has_another_than(&first).await);
        }
        release.send("bkua_1111111111111111").unwrap();
        while credential.current().is_same_as(&first) {
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn a_new_token_is_used_although_the_runtimes_own_pool_is_full() {
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
        assert!(runtime.block_on(credential.has_another_than(&first)));
    }
}
