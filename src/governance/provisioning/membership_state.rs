//! What all connections to an organization know of its memberships.

use super::keyed_lock::KeyedLock;
use super::recent_writes::RecentWrites;
use crate::governance::model::Membership;

/// The state of an organization's memberships.
#[derive(Debug, Default)]
pub(crate) struct MembershipState {
    /// One lock for each membership.
    pub(super) locks: KeyedLock<Membership>,
    /// The writes that a read may not show yet.
    pub(super) recent_writes: RecentWrites,
}
