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
use super::owed::Owed;

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
    news: Arc<Notify>,
    state: Mutex<State>,
    /// Notified when there is something to do.
    work: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_running: bool,
    has_ended: bool,
    waiting: VecDeque<Waiting>,
    under_way: Option<UnderWay>,
    owed: Owed,
    trouble: Option<String>,
    /// The number of the task that comes next.
    next: u64,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    task: Task,
    reply: oneshot::Sender<Result<(), String>>,
}

#[derive(Debug)]
struct UnderWay {
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
    pub(crate) fn new(sink: Arc<dyn AuditSink>, limit: Duration, news: Arc<Notify>) -> Self {
        let shared = Shared {
            sink,
            limit,
            news,
            state: Mutex::default(),
            work: Condvar::new(),
        };
        let checked = shared.perform(&Task::Check);
        shared.note(&mut shared.lock(), checked.err());
        Self {
            shared: Arc::new(shared),
        }
    }

    /// What keeps lines from being appended.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.shared.lock().trouble.clone()
    }

    /// Where there is trouble that no owed line will tell the end of, finds out whether it is over.
    pub(crate) async fn look(&self) {
        let is_due = {
            let state = self.shared.lock();
            state.trouble.is_some() && state.owed.is_empty()
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
            Err(_) => self.shared.too_late(number, &mut answer),
        }
    }

    fn enqueue(&self, task: Task) -> Result<(u64, oneshot::Receiver<Result<(), String>>), String> {
        let mut state = self.shared.lock();
        if state
            .under_way
            .as_ref()
            .is_some_and(|it| it.is_stuck_by(self.shared.limit))
        {
            let why = self.shared.stuck(&mut state);
            state.give_up(task);
            return Err(why);
        }
        if !state.is_running {
            let shared = Arc::clone(&self.shared);
            let started = std::thread::Builder::new()
                .name("audit".to_owned())
                .spawn(move || shared.run());
            if let Err(error) = started {
                let why = self.shared.described(&format!("no thread could be started ({error})"));
                self.shared.note(&mut state, Some(why.clone()));
                state.give_up(task);
                return Err(why);
            }
            state.is_running = true;
        }
        let number = state.next;
        state.next += 1;
        let (reply, answer) = oneshot::channel();
        state.waiting.push_back(Waiting { number, task, reply });
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

impl UnderWay {
    fn is_stuck_by(&self, limit: Duration) -> bool {
        self.is_stuck || self.since.elapsed() >= limit
    }
}

impl State {
    /// A task will not be done.
    fn give_up(&mut self, task: Task) {
        match task {
            Task::Outcome(line) => self.owed.push(line),
            Task::Intent(_) | Task::Check => {}
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what lines are kept by, and says what changed of it.
    fn note(&self, state: &mut State, trouble: Option<String>) {
        if state.trouble == trouble {
            return;
        }
        if let Some(why) = &trouble {
            tracing::error!(why, "the audit record cannot be written");
        } else {
            tracing::info!("the audit record is written again");
        }
        state.trouble = trouble;
        self.news.notify_one();
    }

    /// A task was waited for in vain. One that has not begun is given up; one that is under way is stuck.
    fn too_late(&self, number: u64, answer: &mut oneshot::Receiver<Result<(), String>>) -> Result<(), String> {
        let mut state = self.lock();
        let place = state.waiting.iter().position(|waiting| waiting.number == number);
        if let Some(given_up) = place.and_then(|place| state.waiting.remove(place)) {
            state.give_up(given_up.task);
        } else if let Ok(done) = answer.try_recv() {
            return done;
        }
        match &mut state.under_way {
            Some(it) if it.number == Some(number) => it.is_stuck = true,
            Some(it) if it.is_stuck_by(self.limit) => it.is_stuck = true,
            _ => {
                let why = self.described(&format!("too many lines wait, one for {} s", self.limit.as_secs_f64()));
                self.note(&mut state, Some(why.clone()));
                return Err(why);
            }
        }
        Err(self.stuck(&mut state))
    }

    /// The append that is under way is stuck, and so is everything behind it.
    fn stuck(&self, state: &mut State) -> String {
        let why = self.described(&format!(
            "an append has taken {} s and is not done",
            self.limit.as_secs_f64()
        ));
        self.note(state, Some(why.clone()));
        for Waiting { task, reply, .. } in std::mem::take(&mut state.waiting) {
            state.give_up(task);
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
            while state.waiting.is_empty() && (failed || state.owed.is_empty()) {
                if state.has_ended {
                    return;
                }
                if state.owed.is_empty() {
                    state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                } else {
                    let waited = self.work.wait_timeout(state, self.limit);
                    let (awake, waited) = waited.unwrap_or_else(PoisonError::into_inner);
                    state = awake;
                    failed = !waited.timed_out();
                }
            }
            let next = state.waiting.pop_front();
            state.under_way = Some(UnderWay {
                number: next.as_ref().map(|next| next.number),
                since: Instant::now(),
                is_stuck: false,
            });
            drop(state);
            let outcome = self.pay().and_then(|()| match &next {
                // Its caller waits no more, and nothing is changed because of it.
                Some(next) if next.reply.is_closed() && matches!(next.task, Task::Intent(_)) => {
                    self.perform(&Task::Check)
                }
                Some(next) => self.perform(&next.task),
                None => Ok(()),
            });
            failed = outcome.is_err();
            let mut state = self.lock();
            state.under_way = None;
            self.note(&mut state, outcome.as_ref().err().cloned());
            if let Some(Waiting { task, reply, .. }) = next {
                if failed {
                    state.give_up(task);
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
        outcome.map_err(|error| self.described(&error))
    }

    fn described(&self, why: &dyn fmt::Display) -> String {
        format!("{}: {why}", self.sink.name())
    }

    /// Appends what is owed.
    fn pay(&self) -> Result<(), String> {
        loop {
            let due = {
                let mut state = self.lock();
                let Some(due) = state.owed.due() else {
                    return Ok(());
                };
                if let Some(it) = &mut state.under_way {
                    (it.since, it.is_stuck) = (Instant::now(), false);
                }
                due
            };
            self.sink.append(&due.text()).map_err(|error| self.described(&error))?;
            self.lock().owed.paid(&due);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::pin::Pin;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// A disk that does each append when it is told to, with what comes of it.
    #[derive(Debug)]
    struct Disk {
        lines: Mutex<Vec<String>>,
        turns: Mutex<Receiver<io::Result<()>>>,
        is_broken: AtomicBool,
    }

    impl AuditSink for Disk {
        fn name(&self) -> String {
            "disk".to_owned()
        }

        fn check(&self) -> io::Result<()> {
            if self.is_broken.load(Ordering::Relaxed) {
                return Err(io::Error::other("no disk"));
            }
            Ok(())
        }

        fn append(&self, line: &str) -> io::Result<()> {
            self.turns.lock().unwrap().recv().map_err(io::Error::other)??;
            self.lines.lock().unwrap().push(line.to_owned());
            Ok(())
        }
    }

    struct Bench {
        writer: Writer,
        disk: Arc<Disk>,
        turns: Sender<io::Result<()>>,
    }

    const LIMIT: Duration = Duration::from_millis(50);

    impl Bench {
        fn within(limit: Duration) -> Self {
            let (turns, receiver) = channel();
            let disk = Arc::new(Disk {
                lines: Mutex::default(),
                turns: Mutex::new(receiver),
                is_broken: AtomicBool::new(false),
            });
            let writer = Writer::new(Arc::clone(&disk) as Arc<dyn AuditSink>, limit, Arc::default());
            Self { writer, disk, turns }
        }

        /// On a disk that stalls.
        fn stalled() -> Self {
            Self::within(LIMIT)
        }

        /// On a disk that does not.
        fn patient() -> Self {
            Self::within(Duration::from_secs(60))
        }

        fn turns(&self, outcomes: impl IntoIterator<Item = io::Result<()>>) {
            for outcome in outcomes {
                self.turns.send(outcome).unwrap();
            }
        }

        async fn intent(&self, line: &str) -> Result<(), String> {
            self.writer.submit(Task::Intent(line.to_owned())).await
        }

        async fn outcome(&self, line: &str) -> Result<(), String> {
            self.writer.submit(Task::Outcome(line.to_owned())).await
        }

        /// Begins an append that stalls.
        async fn stall(&self, line: &str) -> Pin<Box<impl Future<Output = Result<(), String>>>> {
            let mut stalled = Box::pin(self.intent(line));
            assert!(futures::poll!(&mut stalled).is_pending());
            while self.writer.shared.lock().under_way.is_none() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            stalled
        }

        /// Waits until the disk holds these lines.
        async fn holds(&self, lines: &[&str]) {
            while *self.disk.lines.lock().unwrap() != lines {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }

    fn full() -> io::Result<()> {
        Err(io::Error::other("it is full"))
    }

    #[tokio::test]
    async fn a_stalled_append_fails_and_its_outcome_stands_behind_it_once_it_is_written() {
        let bench = Bench::stalled();
        let failed = bench.stall("intent 1").await.await.unwrap_err();
        assert!(failed.contains("0.05 s"), "{failed}");
        assert_eq!(bench.writer.trouble(), Some(failed));
        bench.outcome("outcome 1").await.unwrap_err();
        bench.turns([Ok(()), Ok(())]);
        bench.holds(&["intent 1", "outcome 1"]).await;
        while bench.writer.trouble().is_some() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn while_one_is_stuck_further_ones_fail_at_once_and_those_behind_it_with_it() {
        let bench = Bench::stalled();
        let first = bench.stall("intent 1").await;
        let mut second = Box::pin(bench.intent("intent 2"));
        assert!(futures::poll!(&mut second).is_pending());
        first.await.unwrap_err();
        assert!(bench.writer.shared.lock().waiting.is_empty());
        second.await.unwrap_err();
        // Polled once: they do not wait.
        for line in ["intent 3", "intent 4"] {
            let mut further = Box::pin(bench.intent(line));
            assert!(matches!(futures::poll!(&mut further), std::task::Poll::Ready(Err(_))));
        }
        bench.outcome("outcome 2").await.unwrap_err();
        bench.turns([Ok(()), Ok(())]);
        bench.holds(&["intent 1", "outcome 2"]).await;
    }

    #[tokio::test]
    async fn one_thread_is_all_that_a_stalled_disk_costs() {
        let bench = Bench::stalled();
        let first = bench.stall("intent").await;
        let lines: Vec<_> = (0..1_099).map(|line| line.to_string()).collect();
        let outcomes = lines.iter().map(|line| bench.outcome(line));
        let (first, outcomes) = tokio::join!(first, futures::future::join_all(outcomes));
        assert!(first.is_err() && outcomes.iter().all(Result::is_err));
        // One is under way, a thousand are kept, and of the rest the number is.
        bench.turns(std::iter::repeat_with(|| Ok(())).take(1_002));
        let (threads, lines) = (threads_named("audit"), || bench.disk.lines.lock().unwrap().clone());
        // Those of tests beside this one.
        assert!(threads < 50, "{threads}");
        while lines().len() < 1_002 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let gap: serde_json::Value = serde_json::from_str(lines().last().unwrap()).unwrap();
        assert_eq!((&gap["record"], &gap["outcomes_missing"]), (&"gap".into(), &99.into()));
    }

    fn threads_named(name: &str) -> usize {
        let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
        tasks
            .filter(|task| std::fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm.trim() == name))
            .count()
    }

    #[tokio::test]
    async fn a_full_disk_owes_the_outcome_and_pays_it_before_what_comes_next() {
        let bench = Bench::patient();
        bench.turns([full(), full()]);
        assert_eq!(bench.intent("intent 1").await.unwrap_err(), "disk: it is full");
        bench.outcome("outcome 1").await.unwrap_err();
        assert_eq!(bench.writer.trouble().as_deref(), Some("disk: it is full"));
        bench.turns([Ok(()), Ok(())]);
        bench.intent("intent 2").await.unwrap();
        bench.holds(&["outcome 1", "intent 2"]).await;
        assert_eq!(bench.writer.trouble(), None);
    }

    #[tokio::test]
    async fn what_is_owed_is_written_without_another_change() {
        let bench = Bench::stalled();
        bench.turns([full(), full(), Ok(())]);
        bench.outcome("outcome 1").await.unwrap_err();
        bench.holds(&["outcome 1"]).await;
        while bench.writer.trouble().is_some() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn an_intent_whose_caller_waits_no_more_is_left_out() {
        let bench = Bench::patient();
        let (first, mut second) = (bench.outcome("outcome 1"), Box::pin(bench.intent("intent 2")));
        let mut first = Box::pin(first);
        assert!(futures::poll!(&mut first).is_pending() && futures::poll!(&mut second).is_pending());
        drop(second);
        bench.turns([Ok(()), Ok(())]);
        first.await.unwrap();
        bench.outcome("outcome 3").await.unwrap();
        bench.holds(&["outcome 1", "outcome 3"]).await;
    }

    #[tokio::test]
    async fn trouble_that_is_over_shows_at_the_next_look() {
        let (turns, receiver) = channel();
        let disk = Arc::new(Disk {
            lines: Mutex::default(),
            turns: Mutex::new(receiver),
            is_broken: AtomicBool::new(true),
        });
        let writer = Writer::new(Arc::clone(&disk) as Arc<dyn AuditSink>, LIMIT, Arc::default());
        drop(turns);
        for is_broken in [true, false] {
            disk.is_broken.store(is_broken, Ordering::Relaxed);
            writer.look().await;
            assert_eq!(writer.trouble().is_some(), is_broken);
        }
    }
}
