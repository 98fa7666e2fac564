//! The credential in use: a token that stays, or one from a file that is replaced while we run.
//!
//! The file is read again every other second, so that a new token is used within five, and at once when Buildkite rejects
//! the one in use. A request ends with the token that it began with. A file that cannot be read, or holds no token, keeps the
//! token in use, and says so once.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::credential::{ApiToken, CredentialError};

/// Between two looks at the file.
const EVERY: Duration = Duration::from_secs(2);

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
    current: ArcSwap<ApiToken>,
    file: Option<PathBuf>,
    in_trouble: AtomicBool,
}

impl From<ApiToken> for Credential {
    fn from(token: ApiToken) -> Self {
        Self {
            current: ArcSwap::from_pointee(token),
            file: None,
            in_trouble: AtomicBool::new(false),
        }
    }
}

impl Credential {
    /// The token in `file`, and whatever it holds later.
    ///
    /// # Errors
    /// When it holds none now.
    pub fn from_file(file: PathBuf) -> Result<Self, TokenFileError> {
        Ok(Self {
            current: ArcSwap::from_pointee(read(&file)?),
            file: Some(file),
            in_trouble: AtomicBool::new(false),
        })
    }

    /// The token to begin a request with.
    pub(super) fn current(&self) -> Arc<ApiToken> {
        self.current.load_full()
    }

    /// Reads the file again; whether the token is now another one than `used`.
    pub(super) fn has_another_than(&self, used: &ApiToken) -> bool {
        self.look();
        !self.current().is_same_as(used)
    }

    /// Looks at the file for as long as it is polled; never resolves.
    pub async fn watch(&self) {
        loop {
            tokio::time::sleep(EVERY).await;
            self.look();
        }
    }

    fn look(&self) {
        let Some(file) = &self.file else {
            return;
        };
        let read = read(file);
        let was_in_trouble = self.in_trouble.swap(read.is_err(), Ordering::Relaxed);
        match read {
            Ok(token) if token.is_same_as(&self.current()) => {}
            Ok(token) => {
                self.current.store(Arc::new(token));
                tracing::info!("the token file changed: the new token is in use");
            }
            // Once is enough: told at every look, it would fill the log.
            Err(_) if was_in_trouble => {}
            Err(error) => tracing::error!(%error, "the token file cannot be used, and the token in use stays"),
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

    #[test]
    fn a_file_that_changes_is_used_and_one_that_breaks_keeps_the_token() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        std::fs::write(&file, "bkua_0000000000000000\n").unwrap();
        let credential = Credential::from_file(file.clone()).unwrap();
        let first = credential.current();
        assert!(!credential.has_another_than(&first));

        std::fs::write(&file, "bkua_1111111111111111\n").unwrap();
        assert!(credential.has_another_than(&first));

        let second = credential.current();
        for broken in ["", "two words"] {
            std::fs::write(&file, broken).unwrap();
            assert!(!credential.has_another_than(&second));
        }
        std::fs::remove_file(&file).unwrap();
        assert!(!credential.has_another_than(&second));
    }

    #[test]
    fn a_token_without_a_file_stays() {
        let token: ApiToken = "bkua_0000000000000000".parse().unwrap();
        assert!(!Credential::from(token.clone()).has_another_than(&token));
    }
}
