//! The invocations of a connection: those that run, and the results of those that ended.
//!
//! A result is kept for an hour. There is a bound for the number of results and for their size; the oldest give way. An id is known
//! to the caller that began the invocation, and to no other caller.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

use super::results::ActionResults;
use crate::governance::GovernanceError;

/// How long a result is kept.
const KEPT_FOR: Duration = Duration::from_secs(3600);

/// The maximum number of results, and of invocations that run.
const MAX_RESULTS: usize = 1000;

/// The maximum size of all results, in bytes.
const MAX_BYTES: usize = 32 << 20;

/// The end of an invocation.
pub type ActionOutcome = Result<ActionResults, GovernanceError>;

/// The state of an invocation.
#[derive(Debug, Clone)]
pub struct ActionStatus {
    /// The id of the invocation.
    pub id: Uuid,
    /// The name of the action.
    pub action: &'static str,
    /// How it ended; `None` while it runs.
    pub outcome: Option<Arc<ActionOutcome>>,
}

/// The invocations of a connection and of its predecessors with the same name.
#[derive(Debug, Default)]
pub(crate) struct Invocations(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    entries: HashMap<Uuid, Entry>,
    /// The ids of those that ended, in that order, with the time and the size.
    ended: VecDeque<(Uuid, Instant, usize)>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    caller: Arc<str>,
    action: &'static str,
    outcome: watch::Receiver<Option<Arc<ActionOutcome>>>,
}

/// Sets the outcome of an invocation. One that is dropped without an outcome, because its task ended, leaves none behind.
#[derive(Debug)]
pub(super) struct Running {
    id: Uuid,
    invocations: Arc<Invocations>,
    outcome: watch::Sender<Option<Arc<ActionOutcome>>>,
}

impl Invocations {
    /// Adds an invocation of `caller`. `None` if too many run.
    pub(super) fn begin(self: &Arc<Self>, id: Uuid, caller: Arc<str>, action: &'static str) -> Option<Running> {
        let (outcome, receiver) = watch::channel(None);
        let mut table = self.lock();
        if table.entries.len() - table.ended.len() >= MAX_RESULTS {
            return None;
        }
        table.entries.insert(
            id,
            Entry {
                caller,
                action,
                outcome: receiver,
            },
        );
        Some(Running {
            id,
            invocations: Arc::clone(self),
            outcome,
        })
    }

    /// The state of an invocation of `caller`.
    pub(super) fn status(&self, id: Uuid, caller: &str) -> Option<ActionStatus> {
        let mut table = self.lock();
        table.expire();
        let entry = table.entries.get(&id).filter(|entry| *entry.caller == *caller)?;
        let outcome = entry.outcome.borrow().clone();
        Some(ActionStatus {
            id,
            action: entry.action,
            outcome,
        })
    }

    /// The state of an invocation of `caller` once it ended, or after `limit`.
    pub(super) async fn wait(&self, id: Uuid, caller: &str, limit: Duration) -> Option<ActionStatus> {
        let mut outcome = self.lock().entries.get(&id)?.outcome.clone();
        // A task that ended without an outcome has dropped the sender.
        let _ = tokio::time::timeout(limit, outcome.wait_for(Option::is_some)).await;
        self.status(id, caller)
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // No code that can panic runs while it is locked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    /// Sets the outcome.
    pub(super) fn end(self, outcome: ActionOutcome) {
        let size = match &outcome {
            Ok(results) => results.size(),
            Err(error) => error.to_string().len(),
        };
        let mut table = self.invocations.lock();
        self.outcome.send_replace(Some(Arc::new(outcome)));
        table.ended.push_back((self.id, Instant::now(), size));
        table.bytes += size;
        table.expire();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut table = self.invocations.lock();
        let ended = self.outcome.borrow().is_some();
        if !ended {
            table.entries.remove(&self.id);
        }
    }
}

impl Table {
    /// Forgets the results that are too old, and the oldest of those that are too many or too large. The newest one stays.
    fn expire(&mut self) {
        while let Some((id, at, size)) = self.ended.front().copied() {
            let exceeds = self.ended.len() > MAX_RESULTS || (self.bytes > MAX_BYTES && self.ended.len() > 1);
            if at.elapsed() < KEPT_FOR && !exceeds {
                return;
            }
            self.ended.pop_front();
            self.bytes -= size;
            self.entries.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: &str = "ada";

    fn ended(invocations: &Arc<Invocations>, text: &str) -> Uuid {
        let id = Uuid::now_v7();
        let running = invocations.begin(id, ADA.into(), "act").unwrap();
        running.end(Ok(ActionResults::new().with_text("body", text)));
        id
    }

    #[tokio::test(start_paused = true)]
    async fn a_result_is_kept_for_an_hour_and_answered_to_its_caller_alone() {
        let invocations = Arc::new(Invocations::default());
        let id = ended(&invocations, "x");
        assert!(invocations.status(id, "bob").is_none());
        tokio::time::advance(KEPT_FOR.saturating_sub(Duration::from_secs(1))).await;
        assert!(invocations.status(id, ADA).unwrap().outcome.is_some());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(invocations.status(id, ADA).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn an_invocation_that_runs_is_waited_for_and_never_expires() {
        let invocations = Arc::new(Invocations::default());
        let id = Uuid::now_v7();
        let running = invocations.begin(id, ADA.into(), "act").unwrap();
        let waited = invocations.wait(id, ADA, KEPT_FOR * 2).await.unwrap();
        assert!(waited.outcome.is_none());
        running.end(Err(GovernanceError::ShuttingDown));
        let outcome = invocations.wait(id, ADA, Duration::ZERO).await.unwrap().outcome;
        assert_eq!(*outcome.unwrap(), Err(GovernanceError::ShuttingDown));
    }

    #[tokio::test]
    async fn the_oldest_results_give_way() {
        let invocations = Arc::new(Invocations::default());
        let many: Vec<Uuid> = (0..=MAX_RESULTS).map(|_| ended(&invocations, "")).collect();
        assert!(invocations.status(many[0], ADA).is_none());
        assert!(invocations.status(many[1], ADA).is_some());
        let large = "x".repeat(MAX_BYTES / 2);
        let large: Vec<Uuid> = (0..3).map(|_| ended(&invocations, &large)).collect();
        let kept = large.iter().map(|id| invocations.status(*id, ADA).is_some());
        assert_eq!(kept.collect::<Vec<_>>(), [false, false, true]);
        assert!(invocations.status(many[MAX_RESULTS], ADA).is_none());
    }

    #[tokio::test]
    async fn what_runs_is_bounded_and_what_ends_without_an_outcome_is_forgotten() {
        let invocations = Arc::new(Invocations::default());
        let begin = || invocations.begin(Uuid::now_v7(), ADA.into(), "act");
        let mut running: Vec<Running> = (0..MAX_RESULTS).map(|_| begin().unwrap()).collect();
        assert!(begin().is_none());
        let stopped = running.pop().unwrap();
        let id = stopped.id;
        drop(stopped);
        assert!(invocations.status(id, ADA).is_none() && begin().is_some());
    }
}
