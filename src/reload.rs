//! Values that are reloaded when their files change: certificates, callers.
//!
//! The files are polled every second. Changed contents are used once two reads agree, so that a file that is still
//! being written is ignored and a new one is in use within five seconds. If a file cannot be read or parsed, or is
//! not a regular file, the value in use stays and one error is logged. The files are then tried again every five
//! seconds, also unchanged, because what they refer to may appear later, such as a secret. Files are read on a thread
//! of their own, so that a stalled disk blocks no call and no other blocking work delays the poll.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_stream::wrappers::WatchStream;
use tokio_util::task::AbortOnDropHandle;

use crate::files;
use crate::files::DiskThread;

/// Interval between two reads of the files.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Interval between two attempts to use files that were refused and have not changed.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// A value built from files, and rebuilt when they change. Clones are the same value.
#[derive(Debug)]
pub struct Reloadable<T> {
    current: Arc<ArcSwap<T>>,
    trigger: ReloadTrigger,
    replaced: watch::Sender<()>,
    polling: Option<Arc<AbortOnDropHandle<()>>>,
}

impl<T> Clone for Reloadable<T> {
    fn clone(&self) -> Self {
        Self {
            current: Arc::clone(&self.current),
            trigger: self.trigger.clone(),
            replaced: self.replaced.clone(),
            polling: self.polling.clone(),
        }
    }
}

/// Requests an immediate reload.
#[derive(Debug, Clone, Default)]
pub struct ReloadTrigger(Arc<Notify>);

impl ReloadTrigger {
    /// Reloads the files now. Changed contents are used without confirmation by a second read, because the caller
    /// states that the files are completely written. Contents that could not be used are tried again.
    pub fn fire(&self) {
        self.0.notify_one();
    }
}

/// The contents of the files; `None` for a file that cannot be read.
pub(crate) type Contents = Vec<Option<Vec<u8>>>;

impl<T: Send + Sync + 'static> Reloadable<T> {
    /// Builds a value with `make` and polls `files`. Must be called within a runtime. `what` names the value in the
    /// log.
    ///
    /// # Errors
    /// The error of `make` for the current files.
    pub fn start<E: std::fmt::Display + 'static>(
        what: &'static str,
        files: Vec<PathBuf>,
        make: impl Fn() -> Result<T, E> + Send + Sync + 'static,
    ) -> Result<Self, E> {
        let seen = contents(&files);
        let value = make()?;
        Ok(Self::follow(what, files, seen, value, make))
    }

    /// Polls `files`, whose contents were `seen` when `value` was built from them. Must be called within a runtime. `make` builds the
    /// next value; `what` names the value in the log.
    pub(crate) fn follow<E: std::fmt::Display + 'static>(
        what: &'static str,
        files: Vec<PathBuf>,
        seen: Contents,
        value: T,
        make: impl Fn() -> Result<T, E> + Send + Sync + 'static,
    ) -> Self {
        let current = Arc::new(ArcSwap::from_pointee(value));
        let (trigger, replaced) = (ReloadTrigger::default(), watch::Sender::new(()));
        let in_use = InUse {
            current: Arc::clone(&current),
            replaced: replaced.clone(),
        };
        let polling = tokio::spawn(poll(what, files, seen, make, in_use, trigger.clone()));
        Self {
            current,
            trigger,
            replaced,
            polling: Some(Arc::new(AbortOnDropHandle::new(polling))),
        }
    }

    /// A value that does not come from files and never changes.
    #[must_use]
    pub fn fixed(value: T) -> Self {
        Self {
            current: Arc::new(ArcSwap::from_pointee(value)),
            trigger: ReloadTrigger::default(),
            replaced: watch::Sender::new(()),
            polling: None,
        }
    }

    /// The value in use.
    #[must_use]
    pub fn current(&self) -> Arc<T> {
        self.current.load_full()
    }

    /// A handle that reloads the files immediately.
    #[must_use]
    pub fn trigger(&self) -> ReloadTrigger {
        self.trigger.clone()
    }

    /// A stream with one item immediately, and one after each change of the value in use.
    #[must_use]
    pub fn changes(&self) -> WatchStream<()> {
        WatchStream::new(self.replaced.subscribe())
    }
}

/// The value in use and the channel that announces its changes.
struct InUse<T> {
    current: Arc<ArcSwap<T>>,
    replaced: watch::Sender<()>,
}

/// Contents that could not be used.
struct Refused {
    error: String,
    tried_at: Instant,
}

async fn poll<T: Send + 'static, E: std::fmt::Display>(
    what: &'static str,
    files: Vec<PathBuf>,
    mut seen: Contents,
    make: impl Fn() -> Result<T, E> + Send + Sync + 'static,
    in_use: InUse<T>,
    trigger: ReloadTrigger,
) {
    let (files, make) = (Arc::new(files), Arc::new(make));
    let (mut last, mut refused) = (seen.clone(), None::<Refused>);
    let thread = DiskThread::new("watched-files");
    loop {
        let requested = tokio::select! {
            () = tokio::time::sleep(POLL_INTERVAL) => false,
            () = trigger.0.notified() => true,
        };
        let polled = Arc::clone(&files);
        let Ok(now) = thread.run(move || contents(&polled)).await else {
            continue;
        };
        let stable = requested || now == last;
        last = now;
        let is_new = last != seen;
        let is_due = |refused: &Refused| requested || refused.tried_at.elapsed() >= RETRY_INTERVAL;
        if !stable || !(is_new || refused.as_ref().is_some_and(is_due)) {
            continue;
        }
        seen.clone_from(&last);
        let rebuild = Arc::clone(&make);
        let outcome = thread.run(move || rebuild().map_err(|error| error.to_string())).await;
        let outcome = outcome.unwrap_or_else(|error| Err(error.to_string()));
        match outcome {
            Ok(value) => {
                refused = None;
                in_use.current.store(Arc::new(value));
                in_use.replaced.send_replace(());
                tracing::info!("{what}: the changed files are in use");
            }
            Err(error) => {
                let is_known = refused.is_some_and(|refused| refused.error == error);
                if is_new || requested || !is_known {
                    tracing::error!("{what}: the changed files cannot be used, and the old ones stay: {error}");
                }
                let tried_at = Instant::now();
                refused = Some(Refused { error, tried_at });
            }
        }
    }
}

/// Files are small and compared by content: timestamps and inodes can stay the same while the content changes.
fn contents(files: &[PathBuf]) -> Contents {
    files.iter().map(|file| files::read(file).ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::channel;

    use tokio::runtime::Builder;
    use tokio::time::{sleep, timeout};

    use super::*;

    /// A reloadable text and its file.
    fn reloadable(directory: &tempfile::TempDir) -> (PathBuf, Reloadable<String>) {
        let file = directory.path().join("text");
        std::fs::write(&file, "first").unwrap();
        let read = file.clone();
        let make = move || match std::fs::read_to_string(&read) {
            Ok(text) if text == "broken" => Err(io::Error::other("broken")),
            read => read,
        };
        let reloadable = Reloadable::start("text", vec![file.clone()], make).unwrap();
        (file, reloadable)
    }

    #[tokio::test(start_paused = true)]
    async fn a_requested_reload_is_immediate() {
        let directory = tempfile::tempdir().unwrap();
        let (file, reloadable) = reloadable(&directory);
        let begun = Instant::now();
        std::fs::write(&file, "second").unwrap();
        reloadable.trigger().fire();
        // No timer fires meanwhile: paused time stands still while a task is ready.
        while *reloadable.current() != "second" {
            tokio::task::yield_now().await;
        }
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_requested_reload_of_an_unusable_file_keeps_the_value_in_use() {
        let directory = tempfile::tempdir().unwrap();
        let (file, reloadable) = reloadable(&directory);
        std::fs::write(&file, "broken").unwrap();
        reloadable.trigger().fire();
        tokio::time::sleep(POLL_INTERVAL * 5).await;
        assert_eq!(*reloadable.current(), "first");
        std::fs::write(&file, "third").unwrap();
        reloadable.trigger().fire();
        while *reloadable.current() != "third" {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn refused_files_are_tried_again_although_they_have_not_changed() {
        let directory = tempfile::tempdir().unwrap();
        let (file, secret) = (directory.path().join("file"), directory.path().join("secret"));
        std::fs::write(&file, "first").unwrap();
        let (read, referred, attempts) = (file.clone(), secret.clone(), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&attempts);
        let make = move || {
            counted.fetch_add(1, Ordering::Relaxed);
            match files::read_text(&read)?.as_str() {
                "second" => files::read_text(&referred),
                other => Ok(other.to_owned()),
            }
        };
        let reloadable = Reloadable::start("text", vec![file.clone()], make).unwrap();
        let begun = Instant::now();
        std::fs::write(&file, "second").unwrap();
        // One at the start, one for the change, and two at the longer interval.
        while attempts.load(Ordering::Relaxed) < 4 {
            sleep(Duration::from_millis(10)).await;
        }
        assert!(begun.elapsed() >= RETRY_INTERVAL * 2, "{:?}", begun.elapsed());
        assert_eq!(*reloadable.current(), "first");
        std::fs::write(&secret, "of the secret").unwrap();
        while *reloadable.current() != "of the secret" {
            sleep(Duration::from_millis(10)).await;
        }
    }

    #[test]
    fn a_changed_file_is_used_although_the_blocking_pool_of_the_runtime_is_full() {
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
            let reloadable = Reloadable::start("test", vec![file.clone()], move || files::read_text(&read)).unwrap();
            std::fs::write(&file, "new").unwrap();
            let used = async {
                while *reloadable.current() != "new" {
                    sleep(Duration::from_millis(10)).await;
                }
            };
            timeout(Duration::from_secs(30), used).await.unwrap();
        });
    }
}
