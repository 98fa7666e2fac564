//! The thread that appends lines one after the other, and the error of its most recent append.
//!
//! A disk can stall. The append in progress may then never return, and blocks only this thread. An append that exceeds its limit
//! fails, together with the queued ones; while it is still in progress, further appends fail immediately, so no change is made.
//! If a stalled intent reaches the disk later, the outcome line from the backlog follows it and says that the change was not
//! carried out.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;

use super::AuditSink;
use super::backlog::{Backlog, OutcomeLine};

/// One task of the thread.
#[derive(Debug)]
pub(crate) enum Task {
    /// Checks whether a line could be appended.
    Check,
    /// Appends a line that its caller waits for; skipped once the caller has stopped waiting.
    Intent(String),
    /// Appends a line about a request that has ended; kept in the backlog if it cannot be written.
    Outcome(OutcomeLine),
}

/// The thread, started with the first task.
pub(crate) struct Writer {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    sink: Arc<dyn AuditSink>,
    /// The maximum duration of an append.
    limit: Duration,
    /// Notified when the error changes.
    listeners: Mutex<Vec<Weak<Notify>>>,
    state: Mutex<State>,
    /// Notified when there is something to do.
    work: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_running: bool,
    has_ended: bool,
    queue: VecDeque<QueuedTask>,
    active: Option<ActiveTask>,
    backlog: Backlog,
    error: Option<String>,
    /// The number of the next task.
    next_number: u64,
}

#[derive(Debug)]
struct QueuedTask {
    number: u64,
    task: Task,
    reply: oneshot::Sender<Result<(), String>>,
}

#[derive(Debug)]
struct ActiveTask {
    number: Option<u64>,
    since: Instant,
    is_stuck: bool,
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("sink", &self.shared.sink)
            .finish_non_exhaustive()
    }
}

impl Writer {
    /// A writer to `sink`. It checks the sink now, so that an error is known before the first line.
    pub(crate) fn new(sink: Arc<dyn AuditSink>, limit: Duration) -> Self {
        let shared = Shared {
            sink,
            limit,
            listeners: Mutex::default(),
            state: Mutex::default(),
            work: Condvar::new(),
        };
        let checked = shared.perform(&Task::Check);
        shared.set_error(&mut shared.lock(), checked.err());
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Notifies `listener` whenever [`Self::error`] changes, until it is dropped.
    pub(crate) fn notify(&self, listener: &Arc<Notify>) {
        let mut listeners = lock(&self.shared.listeners);
        listeners.retain(|listener| listener.strong_count() > 0);
        listeners.push(Arc::downgrade(listener));
    }

    /// The error of the most recent append or check, if it failed.
    pub(crate) fn error(&self) -> Option<String> {
        self.shared.lock().error.clone()
    }

    /// After a failure, checks whether lines can be written again. With a backlog the thread itself retries, so no check is needed.
    pub(crate) async fn recheck(&self) {
        let is_due = {
            let state = self.shared.lock();
            state.error.is_some() && state.backlog.is_empty()
        };
        if is_due {
            // The result is stored as the new error.
            let _ = self.submit(Task::Check).await;
        }
    }

    /// Performs a task, within the limit.
    ///
    /// # Errors
    /// The failure of the task, or that it was not finished in time.
    pub(crate) async fn submit(&self, task: Task) -> Result<(), String> {
        let (number, mut receiver) = self.enqueue(task)?;
        match timeout(self.shared.limit, &mut receiver).await {
            Ok(reply) => reply.unwrap_or_else(|_| Err("the thread of the audit record ended".to_owned())),
            Err(_) => self.shared.timed_out(number, &mut receiver),
        }
    }

    fn enqueue(&self, task: Task) -> Result<(u64, oneshot::Receiver<Result<(), String>>), String> {
        let mut state = self.shared.lock();
        if state
            .active
            .as_ref()
            .is_some_and(|it| it.is_stuck_after(self.shared.limit))
        {
            let why = self.shared.fail_stuck(&mut state);
            state.abandon(task);
            return Err(why);
        }
        if !state.is_running {
            let shared = Arc::clone(&self.shared);
            let started = std::thread::Builder::new()
                .name("audit".to_owned())
                .spawn(move || shared.run());
            if let Err(error) = started {
                let why = self.shared.describe(&format!("no thread could be started ({error})"));
                self.shared.set_error(&mut state, Some(why.clone()));
                state.abandon(task);
                return Err(why);
            }
            state.is_running = true;
        }
        let number = state.next_number;
        state.next_number += 1;
        let (reply, receiver) = oneshot::channel();
        state.queue.push_back(QueuedTask { number, task, reply });
        drop(state);
        self.shared.work.notify_one();
        Ok((number, receiver))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.lock().has_ended = true;
        self.shared.work.notify_one();
    }
}

impl ActiveTask {
    fn is_stuck_after(&self, limit: Duration) -> bool {
        self.is_stuck || self.since.elapsed() >= limit
    }
}

impl State {
    /// Drops a task that will not be performed; an outcome line goes to the backlog.
    fn abandon(&mut self, task: Task) {
        match task {
            Task::Outcome(line) => self.backlog.push(line),
            Task::Intent(_) | Task::Check => {}
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Stores the error of the most recent task, and logs and notifies a change.
    fn set_error(&self, state: &mut State, error: Option<String>) {
        if state.error == error {
            return;
        }
        if let Some(why) = &error {
            tracing::error!(why, "the audit record cannot be written");
        } else {
            tracing::info!("the audit record is written again");
        }
        state.error = error;
        for listener in lock(&self.listeners).iter().filter_map(Weak::upgrade) {
            listener.notify_one();
        }
    }

    /// Handles a task that exceeded the limit: a queued task is dropped, and a task in progress is marked as stuck.
    fn timed_out(&self, number: u64, receiver: &mut oneshot::Receiver<Result<(), String>>) -> Result<(), String> {
        let mut state = self.lock();
        let index = state.queue.iter().position(|queued| queued.number == number);
        if let Some(dropped) = index.and_then(|index| state.queue.remove(index)) {
            state.abandon(dropped.task);
        } else if let Ok(result) = receiver.try_recv() {
            return result;
        }
        match &mut state.active {
            Some(it) if it.number == Some(number) => it.is_stuck = true,
            Some(it) if it.is_stuck_after(self.limit) => it.is_stuck = true,
            _ => {
                let why = self.describe(&format!(
                    "too many lines are waiting, one of them for {} s",
                    self.limit.as_secs_f64()
                ));
                self.set_error(&mut state, Some(why.clone()));
                return Err(why);
            }
        }
        Err(self.fail_stuck(&mut state))
    }

    /// Fails the queued tasks, because the append in progress is stuck. Returns the error.
    fn fail_stuck(&self, state: &mut State) -> String {
        let why = self.describe(&format!(
            "an append has not finished after {} s",
            self.limit.as_secs_f64()
        ));
        self.set_error(state, Some(why.clone()));
        for QueuedTask { task, reply, .. } in std::mem::take(&mut state.queue) {
            state.abandon(task);
            // Sending fails if the caller has stopped waiting; it needs no reply.
            let _ = reply.send(Err(why.clone()));
        }
        why
    }

    /// Runs the thread. The backlog comes before queued tasks, so that an outcome follows its intent and precedes later requests.
    /// After a failure the backlog is retried once the limit of an append has passed.
    fn run(&self) {
        let mut failed = false;
        loop {
            let mut state = self.lock();
            while state.queue.is_empty() && (failed || state.backlog.is_empty()) {
                if state.has_ended {
                    return;
                }
                if state.backlog.is_empty() {
                    state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                } else {
                    let waited = self.work.wait_timeout(state, self.limit);
                    let (awake, waited) = waited.unwrap_or_else(PoisonError::into_inner);
                    state = awake;
                    failed = !waited.timed_out();
                }
            }
            let next_task = state.queue.pop_front();
            state.active = Some(ActiveTask {
                number: next_task.as_ref().map(|next_task| next_task.number),
                since: Instant::now(),
                is_stuck: false,
            });
            drop(state);
            let outcome = self.write_backlog().and_then(|()| match &next_task {
                // The caller has stopped waiting, so no change follows this intent.
                Some(next_task) if next_task.reply.is_closed() && matches!(next_task.task, Task::Intent(_)) => {
                    self.perform(&Task::Check)
                }
                Some(next_task) => self.perform(&next_task.task),
                None => Ok(()),
            });
            failed = outcome.is_err();
            let mut state = self.lock();
            state.active = None;
            self.set_error(&mut state, outcome.as_ref().err().cloned());
            if let Some(QueuedTask { task, reply, .. }) = next_task {
                if failed {
                    state.abandon(task);
                }
                // Sending fails if the caller has stopped waiting; it has its reply already.
                let _ = reply.send(outcome);
            }
        }
    }

    fn perform(&self, task: &Task) -> Result<(), String> {
        let outcome = match task {
            Task::Check => self.sink.check(),
            Task::Intent(text) | Task::Outcome(OutcomeLine { text, .. }) => self.sink.append(text),
        };
        outcome.map_err(|error| self.describe(&error))
    }

    fn describe(&self, why: &dyn fmt::Display) -> String {
        format!("{}: {why}", self.sink.name())
    }

    /// Appends the backlog.
    fn write_backlog(&self) -> Result<(), String> {
        loop {
            let next = {
                let mut state = self.lock();
                let Some(next) = state.backlog.next() else {
                    return Ok(());
                };
                if let Some(it) = &mut state.active {
                    (it.since, it.is_stuck) = (Instant::now(), false);
                }
                next
            };
            self.sink.append(&next.text()).map_err(|error| self.describe(&error))?;
            self.lock().backlog.remove(&next);
        }
    }
}

#[cfg(test)]
mod tests;
