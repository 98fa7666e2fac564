//! A scheduler with its waiters: the connections that share a bucket with each other, which most often is one.
//!
//! Every waiter sleeps until it is granted or rejected, or until the instant at which the passage of time alone changes
//! something. A waiter that wakes up performs all pending actions of the scheduler and wakes the waiters that they
//! concern. So there is no background task, and no shutdown is needed. When two groups turn out to share a bucket, one takes
//! over the connections and the waiters of the other, which from then on leads to it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use super::scheduler::{Action, Granted, Rejected, Scheduler};

/// The decision about a waiter.
pub(crate) type Decision = Result<Granted, Rejected>;

/// Connections that share a bucket with each other.
#[derive(Debug)]
pub(crate) struct Group {
    state: Mutex<State>,
    /// The next instant at which the passage of time alone changes something.
    next_wakeup: watch::Sender<Option<Instant>>,
    /// The group that took this one over.
    merged_into: OnceLock<Arc<Group>>,
}

/// The part of a group that is locked.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) scheduler: Scheduler,
    pub(crate) waiting: HashMap<u64, oneshot::Sender<Decision>>,
}

impl Default for Group {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            next_wakeup: watch::Sender::new(None),
            merged_into: OnceLock::new(),
        }
    }
}

impl Group {
    /// The group that this one has become part of, or this one.
    pub(crate) fn current(self: &Arc<Self>) -> Arc<Self> {
        let mut group = self;
        while let Some(into) = group.merged_into.get() {
            group = into;
        }
        Arc::clone(group)
    }

    /// Reads the state.
    pub(crate) fn read<T>(self: &Arc<Self>, read: impl FnOnce(&mut State) -> T) -> T {
        self.with_current(|_, state| read(state))
    }

    /// Changes the state, and performs all pending actions of the scheduler.
    pub(crate) fn update<T>(self: &Arc<Self>, change: impl FnOnce(&mut State) -> T) -> T {
        self.with_current(|group, state| {
            let value = change(state);
            group.dispatch(state);
            value
        })
    }

    /// Calls `act` with the group that this one has become part of, and its locked state.
    fn with_current<T>(self: &Arc<Self>, act: impl FnOnce(&Self, &mut State) -> T) -> T {
        let mut group = self.current();
        loop {
            let mut state = group.lock();
            if group.merged_into.get().is_none() {
                return act(&group, &mut state);
            }
            drop(state);
            group = group.current();
        }
    }

    /// Performs all pending actions of the scheduler. The instant of the next wake-up is sent while `state` is locked, so that
    /// an earlier state never overwrites it.
    fn dispatch(&self, state: &mut State) {
        let next_wakeup = state.dispatch();
        self.next_wakeup.send_if_modified(|current| {
            let is_new = *current != next_wakeup;
            *current = next_wakeup;
            is_new
        });
    }

    /// Takes over the connections and waiters of `other`. Only one thread at a time may merge groups.
    pub(crate) fn merge(self: &Arc<Self>, other: &Arc<Self>) {
        let (group, other) = (self.current(), other.current());
        if Arc::ptr_eq(&group, &other) {
            return;
        }
        {
            // Both are locked until the state has moved, so that an event of `other` finds its connection in one of the
            // two. Nothing else locks two groups.
            let (mut state, mut absorbed) = (group.lock(), other.lock());
            let _ = other.merged_into.set(Arc::clone(&group));
            let absorbed = std::mem::take(&mut *absorbed);
            state.scheduler.absorb(absorbed.scheduler, Instant::now());
            state.waiting.extend(absorbed.waiting);
            group.dispatch(&mut state);
        }
        // Its waiters wait for wake-ups of this group from now on.
        other.next_wakeup.send_modify(|_| {});
    }

    /// Waits for the decision about a waiter of this group.
    pub(crate) async fn decision(self: &Arc<Self>, receiver: &mut oneshot::Receiver<Decision>) -> Option<Decision> {
        let mut group = self.current();
        let mut next_wakeup = group.next_wakeup.subscribe();
        loop {
            // Read before the group is checked: a merge in between is seen by one of the two.
            let at = *next_wakeup.borrow_and_update();
            if group.merged_into.get().is_some() {
                group = group.current();
                next_wakeup = group.next_wakeup.subscribe();
                continue;
            }
            let wakeup = async {
                match at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                decision = &mut *receiver => return decision.ok(),
                _ = next_wakeup.changed() => {}
                () = wakeup => group.update(|_| {}),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change of the state is complete before anything that could panic, so a poisoned state is consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Performs all pending actions of the scheduler. Returns the instant of the next wake-up.
    fn dispatch(&mut self) -> Option<Instant> {
        let now = Instant::now();
        loop {
            let (id, decision) = match self.scheduler.next_action(now) {
                Action::Grant(granted) => (granted.waiter, Ok(granted)),
                Action::Reject(rejected) => (rejected.waiter, Err(rejected)),
                Action::SleepUntil(until) => return until,
            };
            if let Some(sender) = self.waiting.remove(&id)
                && let Err(Ok(granted)) = sender.send(decision)
            {
                // The receiver can only be dropped under this lock, so this branch should be unreachable; refund the
                // permit anyway.
                self.scheduler.refund(&granted.request);
            }
        }
    }
}
