//! Listings of resources and grants. Each is complete or an error.

mod complete_list;
mod grants;
mod resources;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

pub use complete_list::complete_list;

use super::carried::CarriedAccess;
use super::page_token::{self, List, TokenScope};
use super::prefetch::Prefetch;
use super::progress::ProgressLog;
use super::session::Sessions;
use super::unlisted_users::UnlistedUsers;
use crate::governance::connections::ConnectionName;
use crate::governance::directory::Directory;
use crate::governance::model::{Catalog, Level, Membership, Resource, ResourceId, ResourceKind, ResourceTypeInfo};
use crate::governance::provider::{Failure, FailureClass, Provider, ResourceType};
use crate::governance::{CallContext, GovernanceError};
use crate::telemetry::metrics::SYNC_LAST_SUCCESS;

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// The token of the next page; empty at the end.
    pub next: String,
}

/// The lists of an organization, and the sessions of the syncs that read them.
#[derive(Debug)]
pub struct Listings {
    provider: Arc<dyn Provider>,
    catalog: Catalog,
    sessions: Sessions,
    prefetch: Prefetch,
    carried: CarriedAccess,
    unlisted_users: UnlistedUsers,
    progress: ProgressLog,
    directory: Arc<Directory>,
    /// The name of the connection, if it has one.
    connection: Option<ConnectionName>,
    token_scope: TokenScope,
}

impl Listings {
    /// Lists what `provider` has, with up to `read_ahead` concurrent requests to prefetch for each sync. The names of listed
    /// resources are recorded in `directory`. Carried access that is at most `max_age` old may serve a request outside of the sync that
    /// read it. The page tokens of a `connection` with a name are valid for that name only.
    #[must_use]
    pub(crate) fn new(
        provider: Arc<dyn Provider>,
        read_ahead: usize,
        directory: Arc<Directory>,
        max_age: Duration,
        connection: Option<ConnectionName>,
    ) -> Self {
        let types = provider.resource_types().iter();
        Self {
            catalog: Catalog::new(types.map(|known| known.info()).collect()),
            sessions: Sessions::default(),
            prefetch: Prefetch::new(Arc::clone(&provider), read_ahead),
            carried: CarriedAccess::new(Arc::clone(&provider), read_ahead, max_age),
            unlisted_users: UnlistedUsers::default(),
            progress: ProgressLog::default(),
            token_scope: TokenScope::new(provider.organization(), connection.as_ref()),
            connection,
            provider,
            directory,
        }
    }

    /// The resource types.
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Invalidates what was read of the grants of a membership's resource, and of what its principal carries, because they change.
    pub(crate) fn invalidate(&self, membership: Membership) {
        let resource = membership.resource;
        // What the type keeps goes first: what is read ahead afterwards must not come from it.
        if let Ok(resources) = self.resource_type(resource.resource_type) {
            resources.invalidate(resource);
        }
        self.prefetch.invalidate(resource);
        self.carried.invalidate(membership);
    }

    /// Invalidates what was read of a resource's grants, of what it carries, and of the levels of objects that it may hold. The
    /// grants of groups that it is in are invalidated one by one.
    pub(crate) fn invalidate_resource(&self, resource: ResourceId) {
        for resources in self.provider.resource_types() {
            let info = resources.info();
            let may_be_held = info.principal_kinds.contains(&resource.resource_type.kind);
            if may_be_held && info.kind != ResourceKind::Group {
                resources.invalidate(resource);
                self.prefetch.invalidate_type(info);
            }
        }
        self.prefetch.invalidate(resource);
        self.carried.invalidate_principal(resource);
    }

    /// Leaves out what was read of a resource that is proven absent, of its grants and of what it carries.
    pub(crate) fn remove_resource(&self, resource: ResourceId) {
        self.prefetch.invalidate(resource);
        self.carried.remove_principal(resource);
    }

    /// The cause of a failure that is about a resource. One that turns out to be proven absent is left out from then on.
    async fn explain(
        &self,
        resources: &dyn ResourceType,
        failure: Failure,
        id: Uuid,
        call: &CallContext,
    ) -> GovernanceError {
        let error = resources.explain(failure, Some(id), call).await;
        if let GovernanceError::ResourceNotFound { resource } = &error {
            self.carried.remove_principal(*resource);
        }
        error
    }

    /// The resource types, `limit` at most, from `page_token` on.
    ///
    /// # Errors
    /// If the token belongs to another list.
    pub fn resource_types(
        &self,
        page_token: &str,
        limit: Option<NonZeroUsize>,
    ) -> Result<Page<&'static ResourceTypeInfo>, GovernanceError> {
        let types = self.catalog.types();
        let (rows, next) = page_token::static_page(types, page_token, limit, List::ResourceTypes, &self.token_scope)?;
        Ok(Page { rows, next })
    }

    /// The levels that a resource offers, `limit` at most, from `page_token` on. What was read for the sync is kept.
    ///
    /// # Errors
    /// If the token belongs to another list.
    pub fn levels(
        &self,
        resource: ResourceId,
        page_token: &str,
        limit: Option<NonZeroUsize>,
        sync: &str,
    ) -> Result<Page<&'static Level>, GovernanceError> {
        self.sessions.session(sync).keep_alive();
        let levels: Vec<&'static Level> = resource.resource_type.levels.iter().collect();
        let list = List::Entitlements(resource);
        let (rows, next) = page_token::static_page(&levels, page_token, limit, list, &self.token_scope)?;
        Ok(Page { rows, next })
    }

    /// One resource.
    ///
    /// # Errors
    /// `ResourceNotFound` if it is proven absent, or what keeps it from being read.
    pub async fn resource(&self, resource: ResourceId, call: &CallContext) -> Result<Resource, GovernanceError> {
        let resources = self.resource_type(resource.resource_type)?;
        match resources.get(resource.id, call).await {
            Ok(resource) => Ok(resource),
            Err(failure) => Err(self.explain(resources.as_ref(), failure, resource.id, call).await),
        }
    }

    /// One resource, read now: proof that it exists at this moment.
    ///
    /// # Errors
    /// As for [`Self::resource`].
    pub(crate) async fn resource_now(
        &self,
        resource: ResourceId,
        call: &CallContext,
    ) -> Result<Resource, GovernanceError> {
        let resources = self.resource_type(resource.resource_type)?;
        match resources.get_now(resource.id, call).await {
            Ok(resource) => Ok(resource),
            Err(failure) => Err(resources.explain(failure, Some(resource.id), call).await),
        }
    }

    /// Whether a principal is proven absent from the organization.
    ///
    /// # Errors
    /// What keeps the principal from being read.
    pub(crate) async fn is_absent(&self, principal: ResourceId, call: &CallContext) -> Result<bool, GovernanceError> {
        let principals = self.resource_type(principal.resource_type)?;
        let Err(failure) = principals.get(principal.id, call).await else {
            return Ok(false);
        };
        let was_not_found = failure.class == FailureClass::NotFound;
        match self.explain(principals.as_ref(), failure, principal.id, call).await {
            GovernanceError::ResourceNotFound { .. } => Ok(true),
            GovernanceError::ResourceUnreachable { .. } | GovernanceError::ListUnavailable { .. } if was_not_found => {
                Ok(false)
            }
            error => Err(error),
        }
    }

    /// Ends a sync: frees its session, and records the time if the sync was complete.
    pub fn end_sync(&self, sync: &str) {
        let Some(observed) = self.sessions.end(sync) else {
            return;
        };
        let is_complete = self.unlisted_users.end_sync(&observed, self.catalog.types());
        // Several clients that send no id share a session, so its lists need not be of one sync.
        if is_complete && !sync.is_empty() {
            let tag = self.connection.as_ref().map(ConnectionName::tag).unwrap_or_default();
            SYNC_LAST_SUCCESS.set_timestamp_for(&tag, [], Timestamp::now());
        }
    }

    /// The provider's resource type with this description.
    pub(crate) fn resource_type(&self, info: &ResourceTypeInfo) -> Result<&Arc<dyn ResourceType>, GovernanceError> {
        let mut types = self.provider.resource_types().iter();
        types
            .find(|known| known.info() == info)
            .ok_or_else(|| GovernanceError::Invalid {
                field: "resource_type_id",
                problem: format!("resources of the type `{info}` are not governed: name it in --include"),
            })
    }
}
