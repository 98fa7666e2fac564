//! Files that are read again when they change: certificates, callers.
//!
//! A file is looked at every second, and what changed is used once two looks agree on it, so that a file that is still being
//! written is left alone and a new one is in use within five seconds. What cannot be read or parsed keeps what was in use
//! before, and says so once; so does what is no regular file. They are read on a thread of their own: a disk that stalls holds up
//! no call, and nothing else that stalls holds up the watcher.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio_util::task::AbortOnDropHandle;

use crate::files::{self, DiskThread};

/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);

/// Something that was made from files, and is made again when they change.
#[derive(Debug)]
pub struct Watched<T> {
    current: Arc<ArcSwap<T>>,
    _watching: AbortOnDropHandle<()>,
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
            _watching: AbortOnDropHandle::new(watching),
        })
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
    let thread = DiskThread::new("watched-files");
    loop {
        tokio::time::sleep(EVERY).await;
        let looking = Arc::clone(&files);
        let Ok(now) = thread.run(move || contents(&looking)).await else {
            continue;
        };
        let settled = now == last;
        last = now;
        if !settled || last == seen {
            continue;
        }
        seen.clone_from(&last);
        let making = Arc::clone(&make);
        let outcome = thread.run(move || making().map_err(|error| error.to_string())).await;
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
    files.iter().map(|file| files::read(file).ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use tokio::runtime::Builder;
    use tokio::time::{sleep, timeout};

    use super::*;

    #[test]
    fn what_changes_is_used_although_the_runtimes_own_pool_is_full() {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(1)
            .build()
            .unwrap();
        let (_release, released) = channel::<()>();
        runtime.spawn_blocking(move || released.recv());
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        std::fs::write(&file, "old").unwrap();
        runtime.block_on(async {
            let read = file.clone();
            let watched = Watched::start("test", vec![file.clone()], move || files::read_text(&read)).unwrap();
            std::fs::write(&file, "new").unwrap();
            let used = async {
                while *watched.current() != "new" {
                    sleep(Duration::from_millis(10)).await;
                }
            };
            timeout(Duration::from_secs(30), used).await.unwrap();
        });
    }
}
