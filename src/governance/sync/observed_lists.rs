//! What a sync read of the lists of an organization.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

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
    /// All resources that have grants.
    pub(crate) resources: usize,
}

/// What a sync read of the lists of users, of resources and of grants.
#[derive(Debug, Default)]
pub(crate) struct ObservedLists {
    users: HashSet<Uuid>,
    users_state: ListState,
    resources: HashSet<Uuid>,
    resources_state: ListState,
    /// By resource.
    grants_states: HashMap<Uuid, ListState>,
    /// How many of these are complete.
    complete_grants: usize,
    /// The principals of grants that the list of users lacks, or that were read before it.
    referenced: HashSet<Uuid>,
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

impl ObservedLists {
    /// Records a page of the list of users. The first page starts the list anew.
    pub(super) fn record_users(&mut self, page: PageEnds, users: impl Iterator<Item = Uuid>) {
        if page.is_first {
            self.users.clear();
        }
        self.users_state.record_page(page);
        self.users.extend(users);
    }

    /// Whether the list of users was read completely.
    pub(super) fn users_are_complete(&self) -> bool {
        self.users_state.is_complete()
    }

    /// Whether the list of users showed the user.
    pub(super) fn has_user(&self, user: &Uuid) -> bool {
        self.users.contains(user)
    }

    /// Records a page of the list of resources.
    pub(super) fn record_resources(&mut self, page: PageEnds, resources: impl Iterator<Item = Uuid>) {
        self.resources_state.record_page(page);
        self.resources.extend(resources);
    }

    /// Records a principal of a grant. Returns whether the complete list of users lacks it.
    pub(super) fn record_principal(&mut self, principal: Uuid) -> bool {
        let is_complete = self.users_are_complete();
        if is_complete && self.has_user(&principal) {
            return false;
        }
        self.referenced.insert(principal);
        is_complete
    }

    /// Whether a grant referenced a user that the list of users did not show.
    pub(super) fn references(&self, user: &Uuid) -> bool {
        self.referenced.contains(user)
    }

    /// Records a page of the grants of a resource. Grants that were read to the end stay complete when they are read again.
    pub(super) fn record_grants(&mut self, resource: Uuid, page: PageEnds) {
        let state = self.grants_states.entry(resource).or_default();
        if !state.is_complete() {
            state.record_page(page);
            self.complete_grants += usize::from(state.is_complete());
        }
    }

    /// How many resources' grants were read; `None` before the list of resources is complete.
    pub(super) fn progress(&self) -> Option<Progress> {
        let resources = self.resources.len();
        self.resources_state.is_complete().then(|| Progress {
            read: self.complete_grants.min(resources),
            resources,
        })
    }

    /// Whether the users, the resources and the grants of each resource were read completely.
    pub(super) fn are_complete(&self) -> bool {
        let has_grants = |resource| {
            self.grants_states
                .get(resource)
                .copied()
                .is_some_and(ListState::is_complete)
        };
        self.users_are_complete() && self.resources_state.is_complete() && self.resources.iter().all(has_grants)
    }
}
