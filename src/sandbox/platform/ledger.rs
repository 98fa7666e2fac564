//! The tasks, and everything that connectors have sent.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use uuid::Uuid;

use super::faults::Method;
use crate::proto::c1::connectorapi::baton::v1::task::{Status, TaskType};
use crate::proto::c1::connectorapi::baton::v1::{BatonServiceFinishTaskRequest, BatonServiceHelloRequest, Task};

/// The digits of a task's id.
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Characters of a task's id.
const ID: usize = 27;

/// What became of a task, as its connector reported it.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The task.
    pub task: Task,
    /// The report.
    pub report: BatonServiceFinishTaskRequest,
}

/// A file that a connector uploaded whole.
#[derive(Clone, Debug)]
pub struct Upload {
    /// For which task.
    pub task_id: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// How many bytes came in each message.
    pub chunks: Vec<usize>,
}

/// Everything that was received, in order.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// The calls, those that were refused too.
    pub calls: Vec<Method>,
    /// The hellos that were accepted.
    pub hellos: Vec<BatonServiceHelloRequest>,
    /// The ids of the tasks that were handed out; one that was handed out twice is there twice.
    pub handed_out: Vec<String>,
    /// The tasks whose heartbeats were accepted.
    pub heartbeats: Vec<String>,
    /// The files that came whole.
    pub uploads: Vec<Upload>,
    /// The tasks that were finished.
    pub finished: Vec<Finished>,
    /// How many tokens were given out.
    pub tokens: usize,
    /// Why an assertion was not accepted.
    pub refused_assertions: Vec<String>,
    queue: VecDeque<Task>,
    running: HashMap<String, Task>,
    cancelled: HashSet<String>,
}

impl Ledger {
    /// How often a method was called.
    #[must_use]
    pub fn count(&self, method: Method) -> usize {
        self.calls.iter().filter(|called| **called == method).count()
    }

    /// The end of a task, if it has come.
    #[must_use]
    pub fn finished_task(&self, id: &str) -> Option<&Finished> {
        self.finished.iter().find(|finished| finished.task.id == id)
    }
}

/// The ledger, shared, and news of its changes.
#[derive(Debug)]
pub(super) struct SharedLedger {
    ledger: Mutex<Ledger>,
    changes: watch::Sender<()>,
}

impl Default for SharedLedger {
    fn default() -> Self {
        Self {
            ledger: Mutex::default(),
            changes: watch::channel(()).0,
        }
    }
}

impl SharedLedger {
    pub(super) fn look<T>(&self, at: impl FnOnce(&Ledger) -> T) -> T {
        at(&self.lock())
    }

    pub(super) fn edit<T>(&self, change: impl FnOnce(&mut Ledger) -> T) -> T {
        let done = change(&mut self.lock());
        self.changes.send_replace(());
        done
    }

    pub(super) async fn until(&self, condition: impl Fn(&Ledger) -> bool) {
        let mut changes = self.changes.subscribe();
        while !self.look(&condition) {
            // It fails only where the sender is gone, and that is ours.
            let _ = changes.changed().await;
        }
    }

    pub(super) fn add(&self, kind: TaskType) -> String {
        let task = Task {
            id: new_id(),
            status: Status::Pending.into(),
            debug: false,
            task_type: Some(kind),
        };
        let id = task.id.clone();
        self.edit(|ledger| ledger.queue.push_back(task));
        id
    }

    pub(super) fn hand_out_again(&self, id: &str) {
        self.edit(|ledger| {
            let task = ledger.running.get(id).cloned();
            ledger.queue.extend(task);
        });
    }

    pub(super) fn cancel(&self, id: &str) {
        self.edit(|ledger| ledger.cancelled.insert(id.to_owned()));
    }

    /// The next task; with `twice` it is handed out once more at the next time.
    pub(super) fn take(&self, twice: bool) -> Option<Task> {
        self.edit(|ledger| {
            let mut task = ledger.queue.pop_front()?;
            if twice {
                ledger.queue.push_front(task.clone());
            }
            task.status = Status::Running.into();
            ledger.handed_out.push(task.id.clone());
            ledger.running.insert(task.id.clone(), task.clone());
            Some(task)
        })
    }

    /// Takes a heartbeat of a task that runs: whether the task is cancelled. None for one that does not run.
    pub(super) fn heartbeat(&self, id: &str) -> Option<bool> {
        self.edit(|ledger| {
            let running = ledger.running.contains_key(id);
            running.then(|| {
                ledger.heartbeats.push(id.to_owned());
                ledger.cancelled.contains(id)
            })
        })
    }

    pub(super) fn is_running(&self, id: &str) -> bool {
        self.look(|ledger| ledger.running.contains_key(id))
    }

    /// Takes the end of a task; whether it was running.
    pub(super) fn finish(&self, report: BatonServiceFinishTaskRequest) -> bool {
        self.edit(|ledger| {
            let Some(task) = ledger.running.remove(&report.task_id) else {
                return false;
            };
            ledger.finished.push(Finished { task, report });
            true
        })
    }

    fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn new_id() -> String {
    let random = [Uuid::new_v4().into_bytes(), Uuid::new_v4().into_bytes()].concat();
    let digit = |byte: &u8| DIGITS.get(usize::from(*byte) % DIGITS.len()).copied().map(char::from);
    random.iter().filter_map(digit).take(ID).collect()
}
