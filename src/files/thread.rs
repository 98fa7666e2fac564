//! A thread for work that a disk can hold up. The runtime's own pool is shared: names are resolved there, and a disk that
//! stalls under many calls would fill it.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, PoisonError};

use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// One thread, started with the first job. Jobs are done one after the other.
#[derive(Debug)]
pub(crate) struct DiskThread {
    name: &'static str,
    jobs: Mutex<Option<Sender<Job>>>,
}

impl DiskThread {
    /// A thread that will have this name: 15 bytes of it show in the system's tools.
    pub(crate) fn new(name: &'static str) -> Self {
        Self {
            name,
            jobs: Mutex::default(),
        }
    }

    /// Does a job. A caller that stops waiting stops nothing.
    ///
    /// # Errors
    /// When no thread can be started, or the job panics.
    pub(crate) async fn run<R: Send + 'static>(&self, work: impl FnOnce() -> R + Send + 'static) -> io::Result<R> {
        let (reply, answer) = oneshot::channel();
        self.send(Box::new(move || {
            // A caller that is gone needs no answer.
            let _ = reply.send(work());
        }))?;
        answer
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
            // A panic ends one job, and was reported; its caller gets no answer.
            let _ = catch_unwind(AssertUnwindSafe(job));
        }
    })?;
    Ok(sender)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn jobs_of_one_thread_wait_for_each_other_and_for_nothing_else() {
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
