//! What the connections to one organization share: two connections, or one and its successor after a change of its settings, change
//! one thing one at a time, remember each other's writes, and count removals together.

use std::sync::Arc;

use super::actions::Invocations;
use super::connections::ConnectionName;
use super::lifecycle::ResourceState;
use super::provisioning::MembershipState;
use super::weak_registry::WeakRegistry;

/// The shared state of an organization.
#[derive(Debug, Default)]
pub struct OrganizationState {
    memberships: Arc<MembershipState>,
    resources: Arc<ResourceState>,
    /// The invocations of each connection. A connection without a name is the only one of its process.
    invocations: WeakRegistry<Option<ConnectionName>, Invocations>,
}

impl OrganizationState {
    /// The locks of memberships, and the recent writes to them.
    pub(super) fn memberships(&self) -> Arc<MembershipState> {
        Arc::clone(&self.memberships)
    }

    /// The same of people and whole resources, with the removals of the last hour.
    pub(super) fn resources(&self) -> Arc<ResourceState> {
        Arc::clone(&self.resources)
    }

    /// The invocations of the connection with this name. No other connection has them.
    pub(super) fn invocations(&self, connection: Option<&ConnectionName>) -> Arc<Invocations> {
        self.invocations.get_or_make(connection.cloned(), Invocations::default)
    }
}
