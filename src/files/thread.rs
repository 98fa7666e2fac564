//! A thread for blocking file operations. The blocking pool of the runtime is shared with DNS lookups, and a stalled
//! disk would fill it under load.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, PoisonError};

use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// One thread, started with the first job. Jobs run sequentially.
#[derive(Debug)]
pub(crate) struct DiskThread {
    name: &'static str,
    jobs: Mutex<Option<Sender<Job>>>,
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

    fn send(&self, job: Job) -> io::Result<()> {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = match &mut *jobs {
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
    async fn a_panic_ends_one_job() {
        let thread = DiskThread::new("panics");
        assert!(thread.run(|| panic!("a job")).await.is_err());
        assert_eq!(thread.run(|| 1).await.unwrap(), 1);
    }
}
