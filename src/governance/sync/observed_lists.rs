//! What a sync read of the lists of an organization.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::governance::model::{ResourceId, ResourceTypeInfo};

/// Whether a page is at an end of its list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PageEnds {
    /// The list begins with the page.
    pub(crate) is_first: bool,
    /// The list ends with the page.
    pub(crate) is_last: bool,
}

/// How many resources' grants were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Resources whose grants were read to the end.
    pub(crate) read: usize,
    /// All resources of the type.
    pub(crate) resources: usize,
}

/// What a sync read of the lists of resources and of their grants.
#[derive(Debug, Default)]
pub(crate) struct ObservedLists {
    types: HashMap<&'static ResourceTypeInfo, ObservedType>,
    /// The users that grants name and the list of users lacks, or that were read before it.
    referenced: HashSet<Uuid>,
}

/// What a sync read of one type.
#[derive(Debug, Default)]
struct ObservedType {
    resources: HashSet<Uuid>,
    state: ListState,
    /// By resource.
    grants_states: HashMap<Uuid, ListState>,
    /// How many of these are complete.
    complete_grants: usize,
}

/// How much of a list this process read. A list whose first page another process read is never complete here.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum ListState {
    #[default]
    NotStarted,
    Partial,
    Complete,
}

impl ListState {
    fn record_page(&mut self, page: PageEnds) {
        if page.is_first {
            *self = Self::Partial;
        }
        if page.is_last && *self == Self::Partial {
            *self = Self::Complete;
        }
    }

    fn is_complete(self) -> bool {
        self == Self::Complete
    }
}

impl ObservedType {
    fn progress(&self) -> Option<Progress> {
        let resources = self.resources.len();
        self.state.is_complete().then(|| Progress {
            read: self.complete_grants.min(resources),
            resources,
        })
    }

    /// Whether the grants of each resource were read completely.
    fn grants_are_complete(&self) -> bool {
        let is_complete = |resource| {
            self.grants_states
                .get(resource)
                .is_some_and(|state| state.is_complete())
        };
        self.resources.iter().all(is_complete)
    }
}

impl ObservedLists {
    /// Records a page of the list of a type. The first page starts the list anew.
    pub(super) fn record_resources(
        &mut self,
        resource_type: &'static ResourceTypeInfo,
        page: PageEnds,
        resources: impl Iterator<Item = Uuid>,
    ) {
        let observed = self.types.entry(resource_type).or_default();
        if page.is_first {
            observed.resources.clear();
        }
        observed.state.record_page(page);
        observed.resources.extend(resources);
    }

    /// Whether the list of the type was read completely.
    pub(super) fn is_complete(&self, resource_type: &ResourceTypeInfo) -> bool {
        let observed = self.types.get(resource_type);
        observed.is_some_and(|observed| observed.state.is_complete())
    }

    /// The resources that the list of the type showed.
    pub(super) fn resources(&self, resource_type: &ResourceTypeInfo) -> impl Iterator<Item = Uuid> {
        let observed = self.types.get(resource_type);
        observed
            .into_iter()
            .flat_map(|observed| observed.resources.iter().copied())
    }

    /// Whether the list of its type showed the resource.
    pub(super) fn shows(&self, resource: ResourceId) -> bool {
        let observed = self.types.get(resource.resource_type);
        observed.is_some_and(|observed| observed.resources.contains(&resource.id))
    }

    /// Whether the complete list of its type lacks the resource.
    pub(super) fn lacks(&self, resource: ResourceId) -> bool {
        self.is_complete(resource.resource_type) && !self.shows(resource)
    }

    /// Records a user that a grant names. Returns whether the complete list of users lacks it.
    pub(super) fn record_principal(&mut self, user: ResourceId) -> bool {
        let is_complete = self.is_complete(user.resource_type);
        if is_complete && self.shows(user) {
            return false;
        }
        self.referenced.insert(user.id);
        is_complete
    }

    /// Whether a grant named a user that the list of users did not show.
    pub(super) fn references(&self, user: &Uuid) -> bool {
        self.referenced.contains(user)
    }

    /// Records a page of the grants of a resource. Grants that were read to the end stay complete when they are read again.
    pub(super) fn record_grants(&mut self, resource: ResourceId, page: PageEnds) {
        let observed = self.types.entry(resource.resource_type).or_default();
        let state = observed.grants_states.entry(resource.id).or_default();
        if !state.is_complete() {
            state.record_page(page);
            observed.complete_grants += usize::from(state.is_complete());
        }
    }

    /// How many resources' grants were read of a type; `None` before its list is complete.
    pub(super) fn progress(&self, resource_type: &ResourceTypeInfo) -> Option<Progress> {
        self.types.get(resource_type).and_then(ObservedType::progress)
    }

    /// Whether the list of each of the types was read completely, and the grants of each of their resources.
    pub(super) fn are_complete(&self, types: &[&'static ResourceTypeInfo]) -> bool {
        types.iter().all(|resource_type| {
            let observed = self.types.get(*resource_type);
            observed.is_some_and(|observed| {
                observed.state.is_complete() && (!resource_type.has_grants() || observed.grants_are_complete())
            })
        })
    }
}
