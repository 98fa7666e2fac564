//! Listings of resources and grants. Each is complete or an error.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::holdings::{has_no_known_level, known_grants};
use super::list_history::ListHistory;
use super::page_token::{self, List, Position};
use super::prefetch::Prefetch;
use super::progress::{self, ProgressLog};
use super::unlisted_users::{UnlistedUser, UnlistedUsers};
use crate::governance::directory::Directory;
use crate::governance::model::{Catalog, Grant, Level, Resource, ResourceId, ResourceKind, ResourceTypeInfo};
use crate::governance::provider::{Amount, Batch, EmptyReading, FailureClass, ListStage, Provider, ResourceType, Rows};
use crate::governance::{CallContext, GovernanceError};
use crate::telemetry::metrics::SYNC_LAST_SUCCESS;

/// A part of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// The token of the next page; empty at the end.
    pub next: String,
}

/// The lists of an organization, and what is kept of each sync that reads them.
#[derive(Debug)]
pub struct Listings {
    provider: Arc<dyn Provider>,
    catalog: Catalog,
    prefetch: Prefetch,
    unlisted_users: UnlistedUsers,
    progress: ProgressLog,
    directory: Arc<Directory>,
}

impl Listings {
    /// Lists what `provider` has, with up to `read_ahead` requests in flight ahead of each sync. The names of listed resources are
    /// recorded in `directory`.
    #[must_use]
    pub(crate) fn new(provider: Arc<dyn Provider>, read_ahead: usize, directory: Arc<Directory>) -> Self {
        let types = provider.resource_types().iter();
        Self {
            catalog: Catalog::new(types.map(|known| known.info()).collect()),
            prefetch: Prefetch::new(Arc::clone(&provider), read_ahead),
            unlisted_users: UnlistedUsers::default(),
            progress: ProgressLog::default(),
            provider,
            directory,
        }
    }

    /// The resource types.
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Invalidates what was read ahead of a resource's grants, because they change.
    pub(crate) fn invalidate(&self, resource: ResourceId) {
        self.prefetch.invalidate(resource);
    }

    /// The resource types, `limit` at most, from `page_token` on.
    ///
    /// # Errors
    /// For a token that was made for another list.
    pub fn resource_types(
        &self,
        page_token: &str,
        limit: Option<NonZeroUsize>,
    ) -> Result<Page<&'static ResourceTypeInfo>, GovernanceError> {
        let types = self.catalog.types();
        let (rows, next) = page_token::part_of(types, page_token, limit, List::ResourceTypes, self.organization())?;
        Ok(Page { rows, next })
    }

    /// The levels that a resource offers, `limit` at most, from `page_token` on.
    ///
    /// # Errors
    /// For a token that was made for another list.
    pub fn levels(
        &self,
        resource: ResourceId,
        page_token: &str,
        limit: Option<NonZeroUsize>,
    ) -> Result<Page<&'static Level>, GovernanceError> {
        let levels: Vec<&'static Level> = resource.resource_type.levels.iter().collect();
        let list = List::Entitlements(resource);
        let (rows, next) = page_token::part_of(&levels, page_token, limit, list, self.organization())?;
        Ok(Page { rows, next })
    }

    /// The resources of a type, from `page_token` on and `limit` at most. The list of users ends with those that only grants name.
    ///
    /// # Errors
    /// For a wrong token, for a view that is known to be partial, or what keeps the list from being read completely.
    pub async fn resources(
        &self,
        resource_type: &'static ResourceTypeInfo,
        page_token: &str,
        limit: Option<NonZeroUsize>,
        sync: &str,
        call: &CallContext,
    ) -> Result<Page<Resource>, GovernanceError> {
        let is_user = resource_type.kind == ResourceKind::User;
        if is_user
            && let Ok(Some(cursor)) = page_token::read(page_token, List::Unlisted(resource_type), self.organization())
        {
            let Position::After(last) = Position::of(&cursor)? else {
                return Err(page_token::PageTokenError.into());
            };
            let unlisted = self.unlisted_users.unlisted_after(sync, last);
            return Ok(self.final_page(resource_type, vec![], unlisted, limit));
        }
        let list = List::Resources(resource_type);
        let from = page_token::read(page_token, list, self.organization())?;
        let first = from.is_none();
        let resources = self.resource_type(resource_type)?;
        let stage = if first { ListStage::First } else { ListStage::Later };
        resources.check_visibility(stage, call).await?;
        let read = |from| async move {
            match self.prefetch.resources(sync, resources, from, limit, call).await {
                Ok(part) => Ok(part),
                Err(failure) => Err(resources.explain(failure, None, call).await),
            }
        };
        let mut part = read(from).await?;
        if part.rows.is_empty() && first {
            resources.check_empty(EmptyReading::First, call).await?;
            part = read(None).await?;
            if part.rows.is_empty() {
                resources.check_empty(EmptyReading::Second, call).await?;
            }
        }
        let Rows { rows, next } = part;
        let is_last = next.is_none();
        if is_last {
            resources.check_visibility(ListStage::End, call).await?;
        }
        if let Some(row) = rows.first() {
            self.provider.list_history().record_listed(row.id);
        }
        self.directory.record(&rows);
        let ids = rows.iter().map(|row| row.id.id);
        if is_user {
            let unlisted = self.unlisted_users.users(sync, first, is_last, ids);
            if is_last {
                return Ok(self.final_page(resource_type, rows, unlisted, limit));
            }
        } else {
            self.unlisted_users.resources(sync, first, is_last, ids);
            if let Some((_, resources)) = self.unlisted_users.progress(sync) {
                progress::log_forecast(&*self.provider, resources);
            }
        }
        Ok(Page {
            rows,
            next: page_token::write(next, list, self.organization()),
        })
    }

    /// The last rows of the list of users, and as many of those that are added to it as the page may hold.
    fn final_page(
        &self,
        resource_type: &'static ResourceTypeInfo,
        mut rows: Vec<Resource>,
        added: Vec<UnlistedUser>,
        limit: Option<NonZeroUsize>,
    ) -> Page<Resource> {
        let room = limit.map_or(usize::MAX, |limit| limit.get().saturating_sub(rows.len()));
        let rest = added.len() > room;
        let mut last = Uuid::nil();
        for UnlistedUser { user, name } in added.into_iter().take(room) {
            last = user;
            let id = ResourceId {
                resource_type,
                id: user,
            };
            rows.push(Resource::named(id, name));
        }
        let next = rest.then_some(Position::After(last)).and_then(Position::cursor);
        Page {
            rows,
            next: page_token::write(next, List::Unlisted(resource_type), self.organization()),
        }
    }

    /// The principals that hold a level of a resource, from `page_token` on and `limit` at most.
    ///
    /// # Errors
    /// For a wrong token, for a resource that is gone or hidden, for rows of which none has a level that is known, or what keeps the
    /// list from being read completely.
    pub async fn grants(
        &self,
        resource: ResourceId,
        page_token: &str,
        limit: Option<NonZeroUsize>,
        sync: &str,
        call: &CallContext,
    ) -> Result<Page<Grant>, GovernanceError> {
        let list = List::Grants(resource);
        let (from, unknown_before) = page_token::read_with_unknown_levels(page_token, list, self.organization())?;
        let first = from.is_none();
        let resources = self.resource_type(resource.resource_type)?;
        let read = |from| async move {
            match self
                .prefetch
                .grants(sync, resources, resource.id, from, limit, call)
                .await
            {
                Ok(part) => Ok(part),
                Err(failure) => Err(resources.explain(failure, Some(resource.id), call).await),
            }
        };
        let mut part = read(from).await?;
        let history = self.provider.list_history();
        if part.rows.is_empty() && first {
            // Seen once in this process is enough here: an outage or a lost scope is an error, never an empty response.
            self.provider.confirm_access(Duration::MAX, call).await?;
            if history.had_grants(resource) {
                part = read(None).await?;
            }
        }
        let Rows { rows, next } = part;
        let is_last = next.is_none();
        if first {
            history.record_grants(resource, !rows.is_empty());
        }
        let unknown = (unknown_before || (first && !rows.is_empty())) && has_no_known_level(&rows);
        if unknown && is_last {
            return Err(GovernanceError::Unexpected {
                endpoint: resource.resource_type.grants_endpoint,
                what: format!(
                    "{} {} has members and none with a role that is known here",
                    resource.resource_type, resource.id
                ),
            });
        }
        let named = rows.iter().map(|row| (row.principal.id, row.name.as_deref()));
        let newly_unlisted = self.unlisted_users.grants(sync, resource.id, first, is_last, named);
        if newly_unlisted > 0 {
            tracing::info!(%resource, newly_unlisted, "principals that the list of users did not hold: listed from the next sync on");
        }
        if is_last && let Some(progress) = self.unlisted_users.progress(sync) {
            self.progress.log_progress(&*self.provider, progress);
        }
        let unknown_levels = rows.iter().filter(|row| row.level.is_none()).count();
        if unknown_levels > 0 {
            tracing::warn!(%resource, unknown_levels, "principals with a level that is unknown here are left out of the grants");
        }
        Ok(Page {
            rows: known_grants(resource, rows),
            next: page_token::write_with_unknown_levels(next, unknown, list, self.organization()),
        })
    }

    /// One resource.
    ///
    /// # Errors
    /// `ResourceNotFound` if it is proven absent, or what keeps it from being read.
    pub async fn resource(&self, resource: ResourceId, call: &CallContext) -> Result<Resource, GovernanceError> {
        let resources = self.resource_type(resource.resource_type)?;
        match resources.get(resource.id, call).await {
            Ok(resource) => Ok(resource),
            Err(failure) => Err(resources.explain(failure, Some(resource.id), call).await),
        }
    }

    /// Whether a principal is proven absent from the organization.
    ///
    /// # Errors
    /// What keeps that from being known.
    pub(crate) async fn is_absent(&self, principal: ResourceId, call: &CallContext) -> Result<bool, GovernanceError> {
        let principals = self.resource_type(principal.resource_type)?;
        let Err(failure) = principals.get(principal.id, call).await else {
            return Ok(false);
        };
        let was_not_found = failure.class == FailureClass::NotFound;
        match principals.explain(failure, Some(principal.id), call).await {
            GovernanceError::ResourceNotFound { .. } => Ok(true),
            GovernanceError::ResourceUnreachable { .. } | GovernanceError::TeamsUnavailable { .. } if was_not_found => {
                Ok(false)
            }
            error => Err(error),
        }
    }

    /// All resources of a type, as far as the credential is shown them, read now.
    ///
    /// # Errors
    /// What keeps the list from being read completely.
    pub(crate) async fn all(
        &self,
        resource_type: &'static ResourceTypeInfo,
        call: &CallContext,
    ) -> Result<Vec<Resource>, GovernanceError> {
        let resources = self.resource_type(resource_type)?;
        let call = self.prefetch.with_list_concurrency(call);
        let rows = complete_list(resources.as_ref(), self.provider.list_history(), &call).await?;
        self.directory.record(&rows);
        Ok(rows)
    }

    /// Frees what a sync held.
    pub fn end_sync(&self, sync: &str) {
        self.prefetch.end(sync);
        let is_complete = self.unlisted_users.end_session(sync);
        // Without an id, what several callers read at any time would be taken for one sync.
        if is_complete && !sync.is_empty() {
            SYNC_LAST_SUCCESS.set_timestamp([], Timestamp::now());
        }
    }

    /// The provider's resource type with this description.
    pub(crate) fn resource_type(&self, info: &ResourceTypeInfo) -> Result<&Arc<dyn ResourceType>, GovernanceError> {
        let mut types = self.provider.resource_types().iter();
        types
            .find(|known| known.info() == info)
            .ok_or_else(|| GovernanceError::Invalid {
                field: "resource_type_id",
                problem: format!("resources of the type `{info}` are not offered"),
            })
    }

    fn organization(&self) -> &str {
        self.provider.organization()
    }
}

/// All resources of a type, read now. An empty list is believed as one of a sync is; `call` may request several windows at once.
///
/// # Errors
/// What keeps the list from being read completely.
pub async fn complete_list(
    resources: &dyn ResourceType,
    history: &ListHistory,
    call: &CallContext,
) -> Result<Vec<Resource>, GovernanceError> {
    let mut rows = read_to_end(resources, call).await?;
    if rows.is_empty() {
        resources.check_empty(EmptyReading::First, call).await?;
        rows = read_to_end(resources, call).await?;
        if rows.is_empty() {
            resources.check_empty(EmptyReading::Second, call).await?;
        }
    }
    if let Some(row) = rows.first() {
        history.record_listed(row.id);
    }
    Ok(rows)
}

async fn read_to_end(resources: &dyn ResourceType, call: &CallContext) -> Result<Vec<Resource>, GovernanceError> {
    let mut rows = Vec::new();
    let mut cursor = None;
    loop {
        let mut batch: Box<dyn Batch<Resource>> = match resources.list(cursor, Amount::All, call).await {
            Ok(batch) => batch,
            Err(failure) => return Err(resources.explain(failure, None, call).await),
        };
        let part = batch.take_all();
        rows.extend(part.rows);
        cursor = part.next;
        if cursor.is_none() {
            return Ok(rows);
        }
    }
}
