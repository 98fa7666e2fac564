//! Files that are read again when they change: certificates, callers.
//!
//! A file is looked at every second, and what changed is used once two looks agree on it, so that a file that is still being
//! written is left alone and a new one is in use within five seconds. What cannot be read or parsed keeps what was in use
//! before, and says so once. Files are read beside the runtime's own thread: a share that hangs holds up no call.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::task::spawn_blocking;
use tokio_util::task::AbortOnDropHandle;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);

/// Something that was made from files, and is made again when they change.
#[derive(Debug)]
pub struct Watched<T> {
    current: Arc<ArcSwap<T>>,
    _watching: Option<AbortOnDropHandle<()>>,
}

/// What some files hold now; none for those that cannot be read.
type Contents = Vec<Option<Vec<u8>>>;

impl<T: Send + Sync + 'static> Watched<T> {
    /// Makes a value from `files` and watches them. Must be called within a runtime.
    ///
    /// # Errors
    /// What `make` says of the files as they are.
    pub fn start<E: std::fmt::Display + 'static>(
        what: &'static str,
        files: Vec<PathBuf>,
        make: impl Fn() -> Result<T, E> + Send + Sync + 'static,
    ) -> Result<Self, E> {
        let seen = contents(&files);
        let current = Arc::new(ArcSwap::from_pointee(make()?));
        let watching = tokio::spawn(watch(what, files, seen, make, Arc::clone(&current)));
        Ok(Self {
            current,
            _watching: Some(AbortOnDropHandle::new(watching)),
        })
    }

    /// A value that was not made from files and never changes.
    #[must_use]
    pub fn fixed(value: T) -> Self {
        Self {
            current: Arc::new(ArcSwap::from_pointee(value)),
            _watching: None,
        }
    }

    /// What is in use now.
    #[must_use]
    pub fn current(&self) -> Arc<T> {
        self.current.load_full()
    }
}

async fn watch<T: Send + 'static, E: std::fmt::Display>(
    what: &'static str,
    files: Vec<PathBuf>,
    mut seen: Contents,
    make: impl Fn() -> Result<T, E> + Send + Sync + 'static,
    current: Arc<ArcSwap<T>>,
) {
    let (files, make) = (Arc::new(files), Arc::new(make));
    let mut last = seen.clone();
    loop {
        tokio::time::sleep(EVERY).await;
        let looking = Arc::clone(&files);
        let Ok(now) = spawn_blocking(move || contents(&looking)).await else {
            continue;
        };
        let settled = now == last;
        last = now;
        if !settled || last == seen {
            continue;
        }
        seen.clone_from(&last);
        let making = Arc::clone(&make);
        let outcome = spawn_blocking(move || making().map_err(|error| error.to_string())).await;
        match outcome.unwrap_or_else(|error| Err(error.to_string())) {
            Ok(value) => {
                current.store(Arc::new(value));
                tracing::info!("{what}: the changed files are in use");
            }
            Err(error) => tracing::error!("{what}: the changed files cannot be used, and the old ones stay: {error}"),
        }
    }
}

/// Small files, compared whole: a clock or an inode can stay the same where the content does not.
fn contents(files: &[PathBuf]) -> Contents {
    files.iter().map(|file| std::fs::read(file).ok()).collect()
}
