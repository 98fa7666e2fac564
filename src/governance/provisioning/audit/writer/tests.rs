//! The writer on a sink whose every append is controlled.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;
use crate::governance::provisioning::audit::backlog::OutcomeLine;

/// A disk that performs each append when the test permits it, with the result that the test chooses.
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
        let writer = Writer::new(Arc::clone(&disk) as Arc<dyn AuditSink>, limit);
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
        self.writer
            .submit(Task::Outcome(OutcomeLine {
                text: line.to_owned(),
                connection: None,
            }))
            .await
    }

    /// Begins an append that stalls.
    async fn stall(&self, line: &str) -> Pin<Box<impl Future<Output = Result<(), String>>>> {
        let mut stalled = Box::pin(self.intent(line));
        assert!(futures::poll!(&mut stalled).is_pending());
        while self.writer.shared.lock().active.is_none() {
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
    assert_eq!(bench.writer.error(), Some(failed));
    bench.outcome("outcome 1").await.unwrap_err();
    bench.turns([Ok(()), Ok(())]);
    bench.holds(&["intent 1", "outcome 1"]).await;
    while bench.writer.error().is_some() {
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
    assert!(bench.writer.shared.lock().queue.is_empty());
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
    assert_eq!(bench.writer.error().as_deref(), Some("disk: it is full"));
    bench.turns([Ok(()), Ok(())]);
    bench.intent("intent 2").await.unwrap();
    bench.holds(&["outcome 1", "intent 2"]).await;
    assert_eq!(bench.writer.error(), None);
}

#[tokio::test]
async fn what_is_owed_is_written_without_another_change() {
    let bench = Bench::stalled();
    bench.turns([full(), full(), Ok(())]);
    bench.outcome("outcome 1").await.unwrap_err();
    bench.holds(&["outcome 1"]).await;
    while bench.writer.error().is_some() {
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
    let writer = Writer::new(Arc::clone(&disk) as Arc<dyn AuditSink>, LIMIT);
    drop(turns);
    for is_broken in [true, false] {
        disk.is_broken.store(is_broken, Ordering::Relaxed);
        writer.recheck().await;
        assert_eq!(writer.error().is_some(), is_broken);
    }
}
