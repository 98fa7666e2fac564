//! The thread that appends, one line after the other, and what is known of how it fares.
//!
//! A disk can stall: then one append is under way, for ever perhaps, and holds up this thread and nothing else. An append that
//! took too long fails, and those behind it; while it is still under way, further ones fail at once. What was about to be
//! changed is not changed then. If the stalled intent reaches the disk after all, the outcome line behind it, which is owed, says
//! that it was not carried out.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;

use super::AuditSink;
use super::backlog::Backlog;

/// What the thread does.
#[derive(Debug)]
pub(crate) enum Task {
    /// Finds out whether a line could be appended.
    Check,
    /// Appends a line that its caller waits for; it is left out once the caller does not.
    Intent(String),
    /// Appends a line about what has happened; it is owed where it cannot be.
    Outcome(String),
}

/// The thread, started with the first task.
pub(crate) struct Writer {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    sink: Arc<dyn AuditSink>,
    /// How long an append may take.
    limit: Duration,
    changed: Arc<Notify>,
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
    /// The number of the task that comes next.
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
    /// A writer to `sink`, which is checked now: trouble is known before the first line.
    pub(crate) fn new(sink: Arc<dyn AuditSink>, limit: Duration, changed: Arc<Notify>) -> Self {
        let shared = Shared {
            sink,
            limit,
            changed,
            state: Mutex::default(),
            work: Condvar::new(),
        };
        let checked = shared.perform(&Task::Check);
        shared.set_error(&mut shared.lock(), checked.err());
        Self {
            shared: Arc::new(shared),
        }
    }

    /// What keeps lines from being appended.
    pub(crate) fn error(&self) -> Option<String> {
        self.shared.lock().error.clone()
    }

    /// Where there is trouble that no owed line will tell the end of, finds out whether it is over.
    pub(crate) async fn recheck(&self) {
        let is_due = {
            let state = self.shared.lock();
            state.error.is_some() && state.backlog.is_empty()
        };
        if is_due {
            // What it finds is noted.
            let _ = self.submit(Task::Check).await;
        }
    }

    /// Does a task, unless it takes too long.
    ///
    /// # Errors
    /// What kept it from being done, or that it was not done in time.
    pub(crate) async fn submit(&self, task: Task) -> Result<(), String> {
        let (number, mut answer) = self.enqueue(task)?;
        match timeout(self.shared.limit, &mut answer).await {
            Ok(answer) => answer.unwrap_or_else(|_| Err("the thread of the audit record ended".to_owned())),
            Err(_) => self.shared.timed_out(number, &mut answer),
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
        let (reply, answer) = oneshot::channel();
        state.queue.push_back(QueuedTask { number, task, reply });
        drop(state);
        self.shared.work.notify_one();
        Ok((number, answer))
    }
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
    /// A task will not be done.
    fn abandon(&mut self, task: Task) {
        match task {
            Task::Outcome(line) => self.backlog.push(line),
            Task::Intent(_) | Task::Check => {}
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what lines are kept by, and says what changed of it.
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
        self.changed.notify_one();
    }

    /// A task was waited for in vain. One that has not begun is given up; one that is under way is stuck.
    fn timed_out(&self, number: u64, answer: &mut oneshot::Receiver<Result<(), String>>) -> Result<(), String> {
        let mut state = self.lock();
        let place = state.queue.iter().position(|queue| queue.number == number);
        if let Some(given_up) = place.and_then(|place| state.queue.remove(place)) {
            state.abandon(given_up.task);
        } else if let Ok(done) = answer.try_recv() {
            return done;
        }
        match &mut state.active {
            Some(it) if it.number == Some(number) => it.is_stuck = true,
            Some(it) if it.is_stuck_after(self.limit) => it.is_stuck = true,
            _ => {
                let why = self.describe(&format!("too many lines wait, one for {} s", self.limit.as_secs_f64()));
                self.set_error(&mut state, Some(why.clone()));
                return Err(why);
            }
        }
        Err(self.fail_stuck(&mut state))
    }

    /// The append that is under way is stuck, and so is everything behind it.
    fn fail_stuck(&self, state: &mut State) -> String {
        let why = self.describe(&format!(
            "an append has taken {} s and is not done",
            self.limit.as_secs_f64()
        ));
        self.set_error(state, Some(why.clone()));
        for QueuedTask { task, reply, .. } in std::mem::take(&mut state.queue) {
            state.abandon(task);
            // A caller that waits no more needs no answer.
            let _ = reply.send(Err(why.clone()));
        }
        why
    }

    /// The thread: what is owed comes before what is asked for, so that an outcome stands behind its intent and before what
    /// came later. Where that fails, it is tried again once as much time has passed as an append may take.
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
                // Its caller waits no more, and nothing is changed because of it.
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
                // A caller that waits no more has been answered.
                let _ = reply.send(outcome);
            }
        }
    }

    fn perform(&self, task: &Task) -> Result<(), String> {
        let outcome = match task {
            Task::Check => self.sink.check(),
            Task::Intent(line) | Task::Outcome(line) => self.sink.append(line),
        };
        outcome.map_err(|error| self.describe(&error))
    }

    fn describe(&self, why: &dyn fmt::Display) -> String {
        format!("{}: {why}", self.sink.name())
    }

    /// Appends what is owed.
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
            self.lock().backlog.written(&next);
        }
    }
}

#[cfg(test)]
mod tests;
