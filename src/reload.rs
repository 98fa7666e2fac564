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
use tokio::sync::{Notify, watch};
use tokio_stream::wrappers::WatchStream;
use tokio_util::task::AbortOnDropHandle;

use crate::files;
use crate::files::DiskThread;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);

/// Something that was made from files, and is made again when they change.
#[derive(Debug)]
pub struct Reloadable<T> {
    current: Arc<ArcSwap<T>>,
    read_again: ReadAgain,
    replaced: watch::Sender<()>,
    _watching: Option<AbortOnDropHandle<()>>,
}

/// Asks for a look at the files at once, instead of at the next second.
#[derive(Debug, Clone, Default)]
pub struct ReadAgain(Arc<Notify>);

impl ReadAgain {
    /// Has the files read again now. What changed is used although no second look has confirmed it: whoever asks says that
    /// the files are written.
    pub fn now(&self) {
        self.0.notify_one();
    }
}

/// What some files hold now; none for those that cannot be read.
type Contents = Vec<Option<Vec<u8>>>;

impl<T: Send + Sync + 'static> Reloadable<T> {
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
        let (read_again, replaced) = (ReadAgain::default(), watch::Sender::new(()));
        let in_use = InUse {
            current: Arc::clone(&current),
            replaced: replaced.clone(),
        };
        let watching = tokio::spawn(watch(what, files, seen, make, in_use, read_again.clone()));
        Ok(Self {
            current,
            read_again,
            replaced,
            _watching: Some(AbortOnDropHandle::new(watching)),
        })
    }

    /// A value that was not made from files and never changes.
    #[must_use]
    pub fn fixed(value: T) -> Self {
        Self {
            current: Arc::new(ArcSwap::from_pointee(value)),
            read_again: ReadAgain::default(),
            replaced: watch::Sender::new(()),
            _watching: None,
        }
    }

    /// What is in use now.
    #[must_use]
    pub fn current(&self) -> Arc<T> {
        self.current.load_full()
    }

    /// By which the files are read again at once.
    #[must_use]
    pub fn read_again(&self) -> ReadAgain {
        self.read_again.clone()
    }

    /// An item at once, and one after every change of what is in use.
    #[must_use]
    pub fn changes(&self) -> WatchStream<()> {
        WatchStream::new(self.replaced.subscribe())
    }
}

/// Where a new value is put, and how that is announced.
struct InUse<T> {
    current: Arc<ArcSwap<T>>,
    replaced: watch::Sender<()>,
}

async fn watch<T: Send + 'static, E: std::fmt::Display>(
    what: &'static str,
    files: Vec<PathBuf>,
    mut seen: Contents,
    make: impl Fn() -> Result<T, E> + Send + Sync + 'static,
    in_use: InUse<T>,
    read_again: ReadAgain,
) {
    let (files, make) = (Arc::new(files), Arc::new(make));
    let mut last = seen.clone();
    let thread = DiskThread::new("watched-files");
    loop {
        let asked = tokio::select! {
            () = tokio::time::sleep(EVERY) => false,
            () = read_again.0.notified() => true,
        };
        let looking = Arc::clone(&files);
        let Ok(now) = thread.run(move || contents(&looking)).await else {
            continue;
        };
        let settled = asked || now == last;
        last = now;
        if !settled || last == seen {
            continue;
        }
        seen.clone_from(&last);
        let making = Arc::clone(&make);
        let outcome = thread.run(move || making().map_err(|error| error.to_string())).await;
        match outcome.unwrap_or_else(|error| Err(error.to_string())) {
            Ok(value) => {
                in_use.current.store(Arc::new(value));
                in_use.replaced.send_replace(());
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
    use std::io;
    use std::sync::mpsc::channel;

    use tokio::runtime::Builder;
    use tokio::time::{Instant, sleep, timeout};

    use super::*;

    /// A watched text, and the file that it is in.
    fn watched(directory: &tempfile::TempDir) -> (PathBuf, Reloadable<String>) {
        let file = directory.path().join("text");
        std::fs::write(&file, "first").unwrap();
        let read = file.clone();
        let make = move || match std::fs::read_to_string(&read) {
            Ok(text) if text == "broken" => Err(io::Error::other("broken")),
            read => read,
        };
        let watched = Reloadable::start("text", vec![file.clone()], make).unwrap();
        (file, watched)
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_asked_for_is_read_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let (file, watched) = watched(&directory);
        let begun = Instant::now();
        std::fs::write(&file, "second").unwrap();
        watched.read_again().now();
        // No timer passes meanwhile: time stands still while something is ready to run.
        while *watched.current() != "second" {
            tokio::task::yield_now().await;
        }
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_asked_for_and_cannot_be_used_keeps_what_is_in_use() {
        let directory = tempfile::tempdir().unwrap();
        let (file, watched) = watched(&directory);
        std::fs::write(&file, "broken").unwrap();
        watched.read_again().now();
        tokio::time::sleep(EVERY * 5).await;
        assert_eq!(*watched.current(), "first");
        std::fs::write(&file, "third").unwrap();
        watched.read_again().now();
        while *watched.current() != "third" {
            tokio::task::yield_now().await;
        }
    }

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
            let watched = Reloadable::start("test", vec![file.clone()], move || files::read_text(&read)).unwrap();
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
