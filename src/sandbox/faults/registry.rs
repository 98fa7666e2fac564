//! The active faults, and how a request is matched with them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::edit::can_move_rows;
use super::{Edit, Fault, FaultKind, Gate, HeaderChange, LinkChange, Times};
use crate::sandbox::response::Response;
use crate::sandbox::target::Target;

/// The faults of a sandbox.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    registry: Arc<Mutex<FaultRegistry>>,
}

#[derive(Debug, Default)]
struct FaultRegistry {
    active: Vec<ActiveFault>,
    next_id: u64,
    // The last response of each list, by path. Kept only while a fault may replay it.
    previous: HashMap<String, Response>,
}

#[derive(Debug)]
struct ActiveFault {
    id: u64,
    fault: Fault,
    matched: u64,
    fired: Arc<AtomicU64>,
}

/// Identifies a fault that was added.
#[derive(Clone, Debug)]
pub struct FaultHandle {
    id: u64,
    fired: Arc<AtomicU64>,
    faults: Faults,
}

impl FaultHandle {
    /// How often the fault has occurred.
    #[must_use]
    pub fn fired(&self) -> u64 {
        self.fired.load(Ordering::SeqCst)
    }

    /// Removes the fault. Its count stays.
    pub fn remove(&self) {
        self.faults.registry().active.retain(|fault| fault.id != self.id);
    }
}

/// The faults of one request: any number that keep the normal response, and at most one that replaces it.
#[derive(Debug, Default)]
pub(in crate::sandbox) struct FaultPlan {
    pub(in crate::sandbox) edits: Vec<Edit>,
    pub(in crate::sandbox) delay: Duration,
    pub(in crate::sandbox) gates: Vec<Gate>,
    pub(in crate::sandbox) headers: Vec<HeaderChange>,
    pub(in crate::sandbox) links: Vec<LinkChange>,
    pub(in crate::sandbox) kind: Option<FaultKind>,
    pub(in crate::sandbox) replayed: Option<Response>,
}

impl Faults {
    /// Adds a fault. If several faults would replace the response of a request, the one added first applies.
    #[expect(
        clippy::must_use_candidate,
        reason = "a caller that does not count the fault needs no handle"
    )]
    pub fn add(&self, fault: Fault) -> FaultHandle {
        let mut registry = self.registry();
        let id = registry.next_id;
        registry.next_id += 1;
        let fired = Arc::new(AtomicU64::new(0));
        registry.active.push(ActiveFault {
            id,
            fault,
            matched: 0,
            fired: Arc::clone(&fired),
        });
        drop(registry);
        FaultHandle {
            id,
            fired,
            faults: self.clone(),
        }
    }

    /// Removes all faults.
    pub fn clear(&self) {
        let mut registry = self.registry();
        registry.active.clear();
        registry.previous.clear();
    }

    /// The active faults, and how often each has occurred.
    #[must_use]
    pub fn active(&self) -> Vec<(Fault, u64)> {
        let registry = self.registry();
        registry
            .active
            .iter()
            .map(|active| (active.fault.clone(), active.fired.load(Ordering::SeqCst)))
            .collect()
    }

    /// Determines which faults apply to this request, and counts them.
    pub(in crate::sandbox) fn inject(&self, target: &Target, page: usize, path: &str) -> FaultPlan {
        let mut guard = self.registry();
        let FaultRegistry { active, previous, .. } = &mut *guard;
        let mut plan = FaultPlan::default();
        for candidate in active.iter_mut().filter(|fault| fault.matches(target, page)) {
            let replaces = !matches!(
                candidate.fault.kind,
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
            if matches!(candidate.fault.kind, FaultKind::ReplayPrevious) && replayed.is_none() {
                continue;
            }
            candidate.matched += 1;
            if candidate.matched <= candidate.fault.skip || candidate.is_exhausted() {
                continue;
            }
            candidate.fired.fetch_add(1, Ordering::SeqCst);
            match &candidate.fault.kind {
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

    /// Stores a list's response while a fault may replay it.
    pub(in crate::sandbox) fn store_response(&self, path: &str, response: &Response) {
        let mut registry = self.registry();
        if registry
            .active
            .iter()
            .any(|active| matches!(active.fault.kind, FaultKind::ReplayPrevious))
        {
            registry.previous.insert(path.to_owned(), response.clone());
        }
    }

    fn registry(&self) -> MutexGuard<'_, FaultRegistry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ActiveFault {
    fn matches(&self, target: &Target, page: usize) -> bool {
        self.fault.endpoint.covers(target.endpoint)
            && self.fault.page.is_none_or(|wanted| wanted == page)
            && self.fault.team.is_none_or(|wanted| target.team == Some(wanted))
            && self.fault.kind.applies_to(target)
    }

    fn is_exhausted(&self) -> bool {
        match self.fault.times {
            Times::Forever => false,
            Times::Only(times) => self.fired.load(Ordering::SeqCst) >= times,
        }
    }
}

impl FaultKind {
    /// Faults of lists do not apply to other endpoints, so that they can be combined with `any`.
    fn applies_to(&self, target: &Target) -> bool {
        match self {
            Self::RepeatPage | Self::ReplayPrevious | Self::ShortPage(_) | Self::Links(_) => target.endpoint.is_list(),
            Self::MoveRows(Edit::RemoveAhead | Edit::InsertAhead | Edit::RemoveAndAddAgain) => {
                can_move_rows(target.endpoint)
            }
            _ => true,
        }
    }
}
