//! What earlier lists showed. An empty list is compared with it.
//!
//! An unnoticed outage can look like an empty list, and in an empty list every grant looks revoked. So an empty list is compared with
//! earlier lists. A list of resources is read twice, and a resource that was listed before is requested by its id. A list of grants
//! is read twice if an earlier one was not empty, and so is the list of what a principal carries.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use crate::governance::model::{ResourceId, ResourceTypeInfo};

/// What this process saw in earlier lists.
#[derive(Debug, Default)]
pub struct ListHistory {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By resource type: a resource of the latest list that was not empty.
    listed: HashMap<&'static str, ResourceId>,
    /// Resources whose latest list of grants was not empty.
    with_grants: HashSet<ResourceId>,
    /// By resource type: principals whose latest list of what they carry was not empty.
    carriers: HashMap<&'static str, HashSet<Uuid>>,
}

impl ListHistory {
    /// Records a resource of a list.
    pub fn record_listed(&self, resource: ResourceId) {
        self.lock().listed.insert(resource.resource_type.id, resource);
    }

    /// A resource of the type's latest list that was not empty.
    #[must_use]
    pub fn last_listed(&self, resource_type: &str) -> Option<ResourceId> {
        self.lock().listed.get(resource_type).copied()
    }

    /// Records whether a resource has grants.
    pub fn record_grants(&self, resource: ResourceId, has_grants: bool) {
        let mut state = self.lock();
        if has_grants {
            state.with_grants.insert(resource);
        } else {
            state.with_grants.remove(&resource);
        }
    }

    /// Whether the latest list of the resource's grants was not empty.
    #[must_use]
    pub fn had_grants(&self, resource: ResourceId) -> bool {
        self.lock().with_grants.contains(&resource)
    }

    /// Records whether a principal carries access to resources of the type.
    pub(crate) fn record_carried(&self, resource_type: &ResourceTypeInfo, carrier: Uuid, has_resources: bool) {
        let mut state = self.lock();
        let carriers = state.carriers.entry(resource_type.id).or_default();
        if has_resources {
            carriers.insert(carrier);
        } else {
            carriers.remove(&carrier);
        }
    }

    /// Whether the latest list of what the principal carries was not empty.
    pub(crate) fn had_carried(&self, resource_type: &ResourceTypeInfo, carrier: Uuid) -> bool {
        let state = self.lock();
        let carriers = state.carriers.get(resource_type.id);
        carriers.is_some_and(|carriers| carriers.contains(&carrier))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
