//! What earlier lists showed, for an empty list to be compared with.
//!
//! An outage that is not noticed looks like an empty list: it is a valid response, and every row that it lacks looks revoked. So
//! it is compared with what is known. A list of resources is read twice, and a resource that was listed before is requested by
//! its id. A list of grants is read twice if an earlier one had any.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::governance::model::ResourceId;

/// What this process saw in earlier lists.
#[derive(Debug, Default)]
pub struct ListHistory {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By resource type: a resource of the latest list that had any.
    listed: HashMap<&'static str, ResourceId>,
    /// Resources whose latest list of grants had any.
    with_grants: HashSet<ResourceId>,
}

impl ListHistory {
    /// Records a resource of a list.
    pub fn record_listed(&self, resource: ResourceId) {
        self.lock().listed.insert(resource.resource_type.id, resource);
    }

    /// A resource of the latest list of the type that had any.
    #[must_use]
    pub fn last_listed(&self, resource_type: &str) -> Option<ResourceId> {
        self.lock().listed.get(resource_type).copied()
    }

    /// Records whether the list of a resource's grants had any.
    pub fn record_grants(&self, resource: ResourceId, any: bool) {
        let mut state = self.lock();
        if any {
            state.with_grants.insert(resource);
        } else {
            state.with_grants.remove(&resource);
        }
    }

    /// Whether the latest list of the resource's grants had any.
    #[must_use]
    pub fn had_grants(&self, resource: ResourceId) -> bool {
        self.lock().with_grants.contains(&resource)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
