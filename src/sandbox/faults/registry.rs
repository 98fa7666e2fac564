//! The faults that are armed, and which of them a request meets.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Edit, Fault, FaultKind, Gate, HeaderChange, LinkChange, Times};
use crate::sandbox::endpoint::{Endpoint, Target};
use crate::sandbox::response::Response;

/// The faults of a sandbox.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    registry: Arc<Mutex<FaultRegistry>>,
}

#[derive(Debug, Default)]
struct FaultRegistry {
    active: Vec<ActiveFault>,
    next_id: u64,
    // The last answer of each list, by path. Kept only while something may replay it.
    previous: HashMap<String, Response>,
}

#[derive(Debug)]
struct ActiveFault {
    id: u64,
    fault: Fault,
    matched: u64,
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
        self.faults.registry().active.retain(|active| active.id != self.id);
    }
}

/// What a request meets: any number of faults that leave its answer true, and at most one that does not.
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
    /// Arms a fault. Of several that replace the answer of a request, the one armed first strikes.
    #[expect(clippy::must_use_candidate, reason = "who does not count needs no handle")]
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

    /// Disarms all of them.
    pub fn clear(&self) {
        let mut registry = self.registry();
        registry.active.clear();
        registry.previous.clear();
    }

    /// What is armed, and how often each has struck.
    #[must_use]
    pub fn active(&self) -> Vec<(Fault, u64)> {
        let registry = self.registry();
        registry
            .active
            .iter()
            .map(|active| (active.fault.clone(), active.fired.load(Ordering::SeqCst)))
            .collect()
    }

    /// Which faults strike this request. They are counted as having struck.
    pub(in crate::sandbox) fn inject(&self, target: &Target, page: usize, path: &str) -> FaultPlan {
        let mut guard = self.registry();
        let FaultRegistry { active, previous, .. } = &mut *guard;
        let mut plan = FaultPlan::default();
        for active in active.iter_mut().filter(|active| active.matches(target, page)) {
            let replaces = !matches!(
                active.fault.kind,
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
            if matches!(active.fault.kind, FaultKind::ReplayPrevious) && replayed.is_none() {
                continue;
            }
            active.matched += 1;
            if active.matched <= active.fault.skip || active.is_exhausted() {
                continue;
            }
            active.fired.fetch_add(1, Ordering::SeqCst);
            match &active.fault.kind {
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
    /// Faults of lists leave other endpoints alone, so that `any` can be aimed at.
    fn applies_to(&self, target: &Target) -> bool {
        match self {
            Self::RepeatPage | Self::ReplayPrevious | Self::ShortPage(_) | Self::Links(_) => target.endpoint.is_list(),
            Self::MoveRows(Edit::RemoveAhead | Edit::InsertAhead | Edit::RemoveAndAddAgain) => {
                target.endpoint.is_list() && target.endpoint != Endpoint::Organizations
            }
            _ => true,
        }
    }
}
