//! What all connections to an organization know of the changes of its people and whole resources.

use std::sync::Arc;

use super::Subject;
use super::recent_invitations::RecentInvitations;
use super::removal_limit::Removals;
use crate::governance::provisioning::KeyedLock;

/// The state of an organization's people and resources.
#[derive(Debug, Default)]
pub(crate) struct ResourceState {
    /// One lock for each subject.
    pub(super) locks: KeyedLock<Subject>,
    /// The invitations that the list may not show yet.
    pub(super) recent_invitations: RecentInvitations,
    /// The removals of the last hour.
    pub(super) removals: Arc<Removals>,
}
