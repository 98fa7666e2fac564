//! The faults that are armed, and which of them a request meets.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Edit, Fault, FaultKind, Gate, HeaderChange, LinkChange, Times};
use crate::sandbox::answers::Answer;
use crate::sandbox::endpoint::{Endpoint, Target};

/// The faults of a sandbox.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    book: Arc<Mutex<Book>>,
}

#[derive(Debug, Default)]
struct Book {
    armed: Vec<Armed>,
    next_id: u64,
    // The last answer of each list, by path. Kept only while something may replay it.
    previous: HashMap<String, Answer>,
}

#[derive(Debug)]
struct Armed {
    id: u64,
    fault: Fault,
    met: u64,
    fired: Arc<AtomicU64>,
}

/// A fault that was armed.
#[derive(Clone, Debug)]
pub struct FaultHandle {
    id: u64,
    fired: Arc<AtomicU64>,
    faults: Faults,
}

impl FaultHandle {
    /// How often it struck.
    #[must_use]
    pub fn fired(&self) -> u64 {
        self.fired.load(Ordering::SeqCst)
    }

    /// Disarms it; its count stays.
    pub fn remove(&self) {
        self.faults.book().armed.retain(|armed| armed.id != self.id);
    }
}

/// What a request meets: any number of faults that leave its answer true, and at most one that does not.
#[derive(Debug, Default)]
pub(in crate::sandbox) struct Plan {
    pub(in crate::sandbox) edits: Vec<Edit>,
    pub(in crate::sandbox) delay: Duration,
    pub(in crate::sandbox) gates: Vec<Gate>,
    pub(in crate::sandbox) headers: Vec<HeaderChange>,
    pub(in crate::sandbox) links: Vec<LinkChange>,
    pub(in crate::sandbox) kind: Option<FaultKind>,
    pub(in crate::sandbox) replayed: Option<Answer>,
}

impl Faults {
    /// Arms a fault. Of several that replace the answer of a request, the one armed first strikes.
    #[expect(clippy::must_use_candidate, reason = "who does not count needs no handle")]
    pub fn add(&self, fault: Fault) -> FaultHandle {
        let mut book = self.book();
        let id = book.next_id;
        book.next_id += 1;
        let fired = Arc::new(AtomicU64::new(0));
        book.armed.push(Armed {
            id,
            fault,
            met: 0,
            fired: Arc::clone(&fired),
        });
        drop(book);
        FaultHandle {
            id,
            fired,
            faults: self.clone(),
        }
    }

    /// Disarms all of them.
    pub fn clear(&self) {
        let mut book = self.book();
        book.armed.clear();
        book.previous.clear();
    }

    /// What is armed, and how often each has struck.
    #[must_use]
    pub fn armed(&self) -> Vec<(Fault, u64)> {
        let book = self.book();
        book.armed
            .iter()
            .map(|armed| (armed.fault.clone(), armed.fired.load(Ordering::SeqCst)))
            .collect()
    }

    /// Which faults strike this request. They are counted as having struck.
    pub(in crate::sandbox) fn strike(&self, target: &Target, page: usize, path: &str) -> Plan {
        let mut guard = self.book();
        let Book { armed, previous, .. } = &mut *guard;
        let mut plan = Plan::default();
        for armed in armed.iter_mut().filter(|armed| armed.aims_at(target, page)) {
            let replaces = !matches!(
                armed.fault.kind,
                FaultKind::Delay(_)
                    | FaultKind::Held(_)
                    | FaultKind::Headers(_)
                    | FaultKind::Links(_)
                    | FaultKind::MoveRows(_)
            );
            if replaces && plan.kind.is_some() {
                continue;
            }
            let replayed = previous.get(path);
            if matches!(armed.fault.kind, FaultKind::ReplayPrevious) && replayed.is_none() {
                continue;
            }
            armed.met += 1;
            if armed.met <= armed.fault.skip || armed.is_spent() {
                continue;
            }
            armed.fired.fetch_add(1, Ordering::SeqCst);
            match &armed.fault.kind {
                FaultKind::Delay(time) => plan.delay = plan.delay.saturating_add(*time),
                FaultKind::Held(gate) => plan.gates.push(gate.clone()),
                FaultKind::Headers(change) => plan.headers.push(*change),
                FaultKind::Links(change) => plan.links.push(*change),
                FaultKind::MoveRows(edit) => plan.edits.push(edit.clone()),
                kind => {
                    if matches!(kind, FaultKind::ReplayPrevious) {
                        plan.replayed = replayed.cloned();
                    }
                    plan.kind = Some(kind.clone());
                }
            }
        }
        plan
    }

    /// Keeps a list's answer for as long as a fault may want to replay it.
    pub(in crate::sandbox) fn remember(&self, path: &str, answer: &Answer) {
        let mut book = self.book();
        if book
            .armed
            .iter()
            .any(|armed| matches!(armed.fault.kind, FaultKind::ReplayPrevious))
        {
            book.previous.insert(path.to_owned(), answer.clone());
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Armed {
    fn aims_at(&self, target: &Target, page: usize) -> bool {
        self.fault.endpoint.covers(target.endpoint)
            && self.fault.page.is_none_or(|wanted| wanted == page)
            && self.fault.team.is_none_or(|wanted| target.team == Some(wanted))
            && self.fault.kind.suits(target)
    }

    fn is_spent(&self) -> bool {
        match self.fault.times {
            Times::Forever => false,
            Times::Only(times) => self.fired.load(Ordering::SeqCst) >= times,
        }
    }
}

impl FaultKind {
    /// Faults of lists leave other endpoints alone, so that `any` can be aimed at.
    fn suits(&self, target: &Target) -> bool {
        match self {
            Self::RepeatPage | Self::ReplayPrevious | Self::ShortPage(_) | Self::Links(_) => target.endpoint.is_list(),
            Self::MoveRows(Edit::RemoveAhead | Edit::InsertAhead | Edit::RemoveAndAddAgain) => {
                target.endpoint.is_list() && target.endpoint != Endpoint::Organizations
            }
            _ => true,
        }
    }
}
