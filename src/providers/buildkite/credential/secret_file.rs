//! A secret from a file that may be replaced while the process runs: the API token, or a signing key.
//!
//! The file is read every two seconds, so that a new secret is in use within five, and immediately when Buildkite
//! rejects the current one. A request keeps the secret that it started with. If the file cannot be read, is not a
//! regular file, or does not contain a secret, the current secret stays in use and one error is logged. The file is
//! read on a thread for such files, so that a stalled disk blocks no call and no other blocking work delays the read.
//! Several credentials may share the thread: a file that hangs delays the others once, until another thread replaces it.

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{Mutex, Notify};
use tokio::time::timeout;

use super::signing_key::SigningKey;
use super::token::ApiToken;
use crate::files;
use crate::files::{DiskThread, NotRegular, RunError};

/// Interval between two reads of the file.
pub(super) const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// How long a reload waits for a read. A slower read continues, and its result is applied when it arrives.
const READ_TIMEOUT: Duration = Duration::from_secs(1);

/// Why a file that hangs cannot be used.
const TOO_SLOW: &str = "it cannot be read in time";

/// Why the file of a secret cannot be used. Never contains any part of the secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// The file cannot be read.
    #[error("{file} cannot be read ({error}): check path and owner")]
    Unreadable {
        /// The path.
        file: String,
        /// The error of the system.
        error: std::io::Error,
    },
    /// The file is a pipe, a device or another special file.
    #[error("{file}: {error}: give a regular file{alternative}")]
    NotRegular {
        /// The path.
        file: String,
        /// The type of the file.
        error: std::io::Error,
        /// How the secret can be given without a file.
        alternative: &'static str,
    },
    /// The file does not contain the secret.
    #[error("{file}: {problem}")]
    Unusable {
        /// The path.
        file: String,
        /// What is wrong with its content.
        problem: String,
    },
}

/// The thread that reads the files of secrets. Clones are the same thread.
#[derive(Debug, Clone)]
pub struct SecretFileThread(Arc<DiskThread>);

impl Default for SecretFileThread {
    fn default() -> Self {
        Self(Arc::new(DiskThread::new("secret-file")))
    }
}

/// A type of secret that a file may hold.
pub(super) trait Secret: Send + Sync + 'static {
    /// The word for it in the log.
    const NAME: &'static str;

    /// How it can be given without a file, as the end of a sentence.
    const ALTERNATIVE: &'static str;

    /// Whether both are the same secret.
    fn is_same_as(&self, other: &Self) -> bool;
}

impl Secret for ApiToken {
    const NAME: &'static str = "token";
    const ALTERNATIVE: &'static str = ", or set the token as BUILDKITE_API_TOKEN";

    fn is_same_as(&self, other: &Self) -> bool {
        Self::is_same_as(self, other)
    }
}

impl Secret for SigningKey {
    const NAME: &'static str = "key";
    const ALTERNATIVE: &'static str = "";

    fn is_same_as(&self, other: &Self) -> bool {
        Self::is_same_as(self, other)
    }
}

/// A secret, and how often it was replaced before.
#[derive(Debug)]
pub(super) struct Version<S> {
    pub(super) secret: S,
    pub(super) number: u64,
}

/// The secret in use and its source.
#[derive(Debug)]
pub(super) struct SecretFile<S> {
    in_use: Arc<InUse<S>>,
    /// The source of new secrets, if the secret may change.
    source: Option<Source<S>>,
}

/// A file and the thread that reads it. A read locks the file, so that reads of a file that hangs do not queue on the
/// thread.
#[derive(Debug)]
struct Source<S> {
    file: Arc<Mutex<Reader<S>>>,
    thread: SecretFileThread,
}

/// Reads the current secret from its file.
struct Reader<S>(Box<dyn Fn() -> Result<S, SecretFileError> + Send>);

impl<S> fmt::Debug for Reader<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reader")
    }
}

#[derive(Debug)]
struct InUse<S> {
    version: ArcSwap<Version<S>>,
    replaced: Notify,
    unusable_reported: AtomicBool,
}

impl<S: Secret> SecretFile<S> {
    /// A secret that does not come from a file and never changes.
    pub(super) fn fixed(secret: S) -> Self {
        Self {
            in_use: Arc::new(InUse {
                version: ArcSwap::from_pointee(Version { secret, number: 0 }),
                replaced: Notify::new(),
                unusable_reported: AtomicBool::new(false),
            }),
            source: None,
        }
    }

    /// The secret that `parse` finds in `file`, which is reloaded when it changes.
    ///
    /// # Errors
    /// If the file cannot be used now.
    pub(super) fn open<E: Display + 'static>(
        file: PathBuf,
        parse: fn(&str) -> Result<S, E>,
    ) -> Result<Self, SecretFileError> {
        Self::read_by(move || read(&file, parse))
    }

    fn read_by(read: impl Fn() -> Result<S, SecretFileError> + Send + 'static) -> Result<Self, SecretFileError> {
        let secret = read()?;
        Ok(Self {
            source: Some(Source {
                file: Arc::new(Mutex::new(Reader(Box::new(read)))),
                thread: SecretFileThread::default(),
            }),
            ..Self::fixed(secret)
        })
    }

    /// The same, read on `thread`.
    pub(super) fn reading_on(mut self, thread: &SecretFileThread) -> Self {
        if let Some(source) = &mut self.source {
            source.thread = thread.clone();
        }
        self
    }

    /// The secret in use, independent of later changes of the file.
    pub(super) fn pinned(&self) -> Self
    where
        S: Clone,
    {
        Self::fixed(self.current().secret.clone())
    }

    /// The secret to start a request with.
    pub(super) fn current(&self) -> Arc<Version<S>> {
        self.in_use.version.load_full()
    }

    /// Reads the file, and returns whether the secret in use is now another version than `used`.
    pub(super) async fn refresh_if_changed(&self, used: u64) -> bool {
        self.reload().await;
        self.current().number != used
    }

    /// Resolves once the secret was replaced. Supports one listener at a time.
    pub(super) async fn replaced(&self) {
        self.in_use.replaced.notified().await;
    }

    /// Reads the file now, and returns when it was read or the read timed out.
    pub(super) async fn reload(&self) {
        let Some(source) = &self.source else {
            return;
        };
        // A read that is in progress ends first.
        if timeout(READ_TIMEOUT, source.file.lock()).await.is_err() {
            self.in_use.report_unusable(&TOO_SLOW);
            return;
        }
        let (file, in_use) = (Arc::clone(&source.file), Arc::clone(&self.in_use));
        let read = move || {
            // Another read of the file may have begun meanwhile; it applies its result.
            if let Ok(file) = file.try_lock() {
                in_use.apply((file.0)());
            }
        };
        match source.thread.0.run_within(READ_TIMEOUT, read).await {
            Ok(()) | Err(RunError::NotStarted) => {}
            Err(RunError::TooSlow) => self.in_use.report_unusable(&TOO_SLOW),
            Err(RunError::Failed(error)) => self.in_use.report_unusable(&error),
        }
    }
}

impl<S: Secret> InUse<S> {
    /// Applies the result of a read.
    fn apply(&self, read: Result<S, SecretFileError>) {
        match read {
            Ok(secret) => {
                self.unusable_reported.store(false, Ordering::Relaxed);
                let current = self.version.load();
                if !secret.is_same_as(&current.secret) {
                    let number = current.number + 1;
                    self.version.store(Arc::new(Version { secret, number }));
                    self.replaced.notify_one();
                    tracing::info!("the {0} file changed: the new {0} is in use", S::NAME);
                }
            }
            Err(error) => self.report_unusable(&error),
        }
    }

    /// Logs that the file cannot be used, once until it can be used again: an error at every poll would fill the log.
    fn report_unusable(&self, error: &dyn Display) {
        if !self.unusable_reported.swap(true, Ordering::Relaxed) {
            tracing::error!(error = %error, "the {0} file cannot be used, and the {0} in use stays", S::NAME);
        }
    }
}

fn read<S: Secret, E: Display>(file: &Path, parse: fn(&str) -> Result<S, E>) -> Result<S, SecretFileError> {
    let path = || file.display().to_string();
    let text = files::read_text(file).map_err(|error| {
        if NotRegular::is(&error) {
            SecretFileError::NotRegular {
                file: path(),
                error,
                alternative: S::ALTERNATIVE,
            }
        } else {
            SecretFileError::Unreadable { file: path(), error }
        }
    })?;
    let text = SecretString::from(text);
    parse(text.expose_secret()).map_err(|problem| SecretFileError::Unusable {
        file: path(),
        problem: problem.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(file: PathBuf) -> Result<SecretFile<ApiToken>, SecretFileError> {
        SecretFile::open(file, str::parse)
    }

    #[tokio::test]
    async fn a_changed_file_is_used_and_an_unusable_one_keeps_the_token() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        std::fs::write(&file, "bkua_0000000000000000\n").unwrap();
        let credential = open(file.clone()).unwrap();
        let first = credential.current().number;
        assert!(!credential.refresh_if_changed(first).await);

        std::fs::write(&file, "bkua_1111111111111111\n").unwrap();
        assert!(credential.refresh_if_changed(first).await);

        let second = credential.current().number;
        for broken in ["", "two words"] {
            std::fs::write(&file, broken).unwrap();
            assert!(!credential.refresh_if_changed(second).await);
        }
        std::fs::remove_file(&file).unwrap();
        assert!(!credential.refresh_if_changed(second).await);
    }

    #[tokio::test]
    async fn a_token_without_a_file_never_changes() {
        let token: ApiToken = "bkua_0000000000000000".parse().unwrap();
        let credential = SecretFile::fixed(token);
        assert!(!credential.refresh_if_changed(credential.current().number).await);
    }

    #[tokio::test]
    async fn a_pipe_is_rejected_at_startup_and_on_reload() {
        let directory = tempfile::tempdir().unwrap();
        let (file, pipe) = (directory.path().join("token"), directory.path().join("pipe"));
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        let rejected = open(pipe.clone()).unwrap_err().to_string();
        assert!(
            rejected.contains("a pipe") && rejected.contains("BUILDKITE_API_TOKEN"),
            "{rejected}"
        );

        std::fs::write(&file, "bkua_0000000000000000\n").unwrap();
        let credential = open(file.clone()).unwrap();
        let first = credential.current().number;
        std::fs::rename(&pipe, &file).unwrap();
        assert!(!credential.refresh_if_changed(first).await);
        assert!(credential.in_use.unusable_reported.load(Ordering::Relaxed));
        std::fs::remove_file(&file).unwrap();
        std::fs::write(&file, "bkua_1111111111111111\n").unwrap();
        assert!(credential.refresh_if_changed(first).await);
    }

    #[tokio::test]
    async fn a_read_that_hangs_blocks_nothing_and_its_token_is_applied_when_it_arrives() {
        let (release, released) = std::sync::mpsc::channel::<&str>();
        release.send("bkua_0000000000000000").unwrap();
        // Blocks until a token is sent, like a stalled disk.
        let credential =
            SecretFile::<ApiToken>::read_by(move || Ok(released.recv().unwrap().parse().unwrap())).unwrap();
        let first = credential.current().number;
        for _ in 0..2 {
            assert!(!credential.refresh_if_changed(first).await);
        }
        release.send("bkua_1111111111111111").unwrap();
        while credential.current().number == first {
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
        let credential = open(file.clone()).unwrap();
        let first = credential.current().number;
        std::fs::write(&file, "bkua_1111111111111111").unwrap();
        assert!(runtime.block_on(credential.refresh_if_changed(first)));
    }
}
