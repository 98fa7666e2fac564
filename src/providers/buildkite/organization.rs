//! What the connections of a process to one organization share, so that none of them acts against another or repeats its writes.

use std::sync::Arc;

use super::Client;
use super::actions::RecentBuilds;
use crate::governance::model::ResourceId;
use crate::governance::provisioning::KeyedLock;
use crate::governance::{OrganizationState, WeakRegistry};

/// The organizations that a process reaches. Clones are the same organizations.
#[derive(Debug, Clone, Default)]
pub struct Organizations(Arc<WeakRegistry<String, SharedOrganization>>);

/// What the connections to one organization share.
#[derive(Debug, Default)]
pub(super) struct SharedOrganization {
    /// What governance shares.
    pub(super) governance: Arc<OrganizationState>,
    /// One lock for each resource that an owner without the admin role can change only because they manage it.
    pub(super) lockout_locks: KeyedLock<ResourceId>,
    /// The builds that Buildkite may not list yet.
    pub(super) recent_builds: RecentBuilds,
}

impl Organizations {
    /// The organization that `client` reaches. It stays the same as long as a connection to it is open, or has work in progress.
    pub(super) fn of(&self, client: &Client) -> Arc<SharedOrganization> {
        self.0
            .get_or_make(client.organization_key(), SharedOrganization::default)
    }
}
