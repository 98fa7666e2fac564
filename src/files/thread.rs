//! A thread for blocking file operations. The blocking pool of the runtime is shared with DNS lookups, and a stalled
//! disk would fill it under load.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

type Job = Box<dyn FnOnce() + Send>;

/// Why the result of a job is not known.
#[derive(Debug)]
pub(crate) enum RunError {
    /// The job did not end in time. Another thread runs the next jobs.
    TooSlow,
    /// The job had not started in time, because another one is slow.
    NotStarted,
    /// No thread could be started, or the job panicked.
    Failed(io::Error),
}

/// One thread, started with the first job. Jobs run sequentially.
#[derive(Debug)]
pub(crate) struct DiskThread {
    name: &'static str,
    jobs: Mutex<Jobs>,
}

/// The present thread.
#[derive(Debug, Default)]
struct Jobs {
    sender: Option<Sender<Job>>,
    /// The number of threads that were given up before.
    given_up: u64,
}

impl DiskThread {
    /// Creates a thread with this name, of which system tools show 15 bytes.
    pub(crate) fn new(name: &'static str) -> Self {
        Self {
            name,
            jobs: Mutex::default(),
        }
    }

    /// Runs a job. Dropping the future does not stop the job.
    ///
    /// # Errors
    /// If no thread can be started, or the job panics.
    pub(crate) async fn run<R: Send + 'static>(&self, work: impl FnOnce() -> R + Send + 'static) -> io::Result<R> {
        let (reply, result) = oneshot::channel();
        self.send(Box::new(move || {
            // The caller may be gone.
            let _ = reply.send(work());
        }))?;
        result
            .await
            .map_err(|_| io::Error::other("the work of a file's thread broke off"))
    }

    /// Runs a job as [`Self::run`] does, and waits for at most `limit`. A thread whose job takes longer is given up: it ends with
    /// its jobs, and another one runs those that follow.
    pub(crate) async fn run_within<R: Send + 'static>(
        &self,
        limit: Duration,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, RunError> {
        let given_up = self.lock().given_up;
        let has_started = Arc::new(AtomicBool::new(false));
        let started = Arc::clone(&has_started);
        let run = self.run(move || {
            started.store(true, Ordering::Relaxed);
            work()
        });
        match timeout(limit, run).await {
            Ok(result) => result.map_err(RunError::Failed),
            Err(_) if has_started.load(Ordering::Relaxed) => {
                let mut jobs = self.lock();
                if jobs.given_up == given_up {
                    jobs.sender = None;
                    jobs.given_up += 1;
                }
                Err(RunError::TooSlow)
            }
            Err(_) => Err(RunError::NotStarted),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, job: Job) -> io::Result<()> {
        let mut jobs = self.lock();
        let sender = match &mut jobs.sender {
            Some(sender) => sender,
            none => none.insert(start(self.name)?),
        };
        sender
            .send(job)
            .map_err(|_| io::Error::other("the thread of a file ended"))
    }
}

fn start(name: &str) -> io::Result<Sender<Job>> {
    let (sender, receiver) = channel::<Job>();
    std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        while let Ok(job) = receiver.recv() {
            // A panic ends one job and was already reported; the caller gets an error.
            let _ = catch_unwind(AssertUnwindSafe(job));
        }
    })?;
    Ok(sender)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn jobs_of_one_thread_run_sequentially_and_independently_of_other_threads() {
        let (stalled, other) = (DiskThread::new("stalled"), DiskThread::new("other"));
        let (release, released) = channel::<()>();
        let (first, second) = (stalled.run(move || released.recv()), stalled.run(|| 2));
        let mut both = Box::pin(async { tokio::join!(first, second) });
        assert!(futures::poll!(&mut both).is_pending());
        assert_eq!(other.run(|| 1).await.unwrap(), 1);
        release.send(()).unwrap();
        let (first, second) = both.await;
        assert!(first.unwrap().is_ok());
        assert_eq!(second.unwrap(), 2);
    }

    #[tokio::test]
    async fn a_thread_whose_job_hangs_is_replaced_once() {
        let thread = DiskThread::new("hangs");
        let (release, released) = channel::<()>();
        let limit = Duration::from_millis(20);
        let (hung, behind) = tokio::join!(
            thread.run_within(limit, move || released.recv()),
            thread.run_within(limit, || 2)
        );
        assert!(matches!(hung, Err(RunError::TooSlow)), "{hung:?}");
        assert!(matches!(behind, Err(RunError::NotStarted)), "{behind:?}");
        assert_eq!(thread.run(|| 3).await.unwrap(), 3);
        drop(release);
    }

    #[tokio::test]
    async fn a_panic_ends_one_job() {
        let thread = DiskThread::new("panics");
        assert!(thread.run(|| panic!("a job")).await.is_err());
        assert_eq!(thread.run(|| 1).await.unwrap(), 1);
    }
}
