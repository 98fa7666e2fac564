//! The list of a type's resources.

use std::num::NonZeroUsize;
use std::sync::Arc;

use uuid::Uuid;

use super::{Listings, Page};
use crate::governance::model::{Resource, ResourceId, ResourceKind, ResourceTypeInfo};
use crate::governance::provider::{Cursor, EmptyReading, ListStage, ResourceType, Rows};
use crate::governance::sync::observed_lists::PageEnds;
use crate::governance::sync::page_token::{self, List, PageTokenError, Position};
use crate::governance::sync::progress::log_forecast;
use crate::governance::sync::session::SessionHandle;
use crate::governance::sync::unlisted_users::UnlistedUser;
use crate::governance::{CallContext, GovernanceError};
use crate::telemetry::traces::OperationSpan;

impl Listings {
    /// The resources of a type, from `page_token` on and `limit` at most. The list of users ends with those that only grants
    /// reference.
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
        let page = self.page_of_resources(resource_type, page_token, limit, sync, call);
        OperationSpan::sync_page("resources", resource_type.id).run(page).await
    }

    async fn page_of_resources(
        &self,
        resource_type: &'static ResourceTypeInfo,
        page_token: &str,
        limit: Option<NonZeroUsize>,
        sync: &str,
        call: &CallContext,
    ) -> Result<Page<Resource>, GovernanceError> {
        let is_user = resource_type.kind == ResourceKind::User;
        let session = self.sessions.session(sync);
        if is_user
            && let Ok(Some(cursor)) = page_token::read(page_token, List::Unlisted(resource_type), &self.token_scope)
        {
            let Position::After(last) = Position::of(&cursor)? else {
                return Err(PageTokenError.into());
            };
            let unlisted = self.unlisted_users.unlisted_after(session, resource_type, last);
            return Ok(self.final_page(resource_type, vec![], unlisted, limit));
        }
        let list = List::Resources(resource_type);
        let from = page_token::read(page_token, list, &self.token_scope)?;
        let is_first = from.is_none();
        let resources = self.resource_type(resource_type)?;
        let stage = if is_first { ListStage::First } else { ListStage::Later };
        resources.check_visibility(stage, call).await?;
        let Rows { rows, next } = self.read_page(session, resources, from, limit, call).await?;
        let is_last = next.is_none();
        if is_last {
            // All that may have served a page of the sync is checked, also what served the first one.
            let call = call.clone().reusing_reads_since(session.began());
            resources.check_visibility(ListStage::End, &call).await?;
        }
        if let Some(row) = rows.first() {
            self.provider.list_history().record_listed(row.id);
        }
        self.directory.record(&rows);
        let ids = rows.iter().map(|row| row.id.id);
        let ends = PageEnds { is_first, is_last };
        if is_user {
            let unlisted = self.unlisted_users.record_users(session, resource_type, ends, ids);
            if is_last {
                return Ok(self.final_page(resource_type, rows, unlisted, limit));
            }
        } else {
            let progress = session.update_observed(|observed| {
                observed.record_resources(resource_type, ends, ids);
                observed.progress(resource_type)
            });
            if let Some(progress) = progress {
                let requests_each = self.carried.requests_each(resource_type);
                if resource_type.has_grants() && requests_each > 0 {
                    log_forecast(&*self.provider, progress.resources, requests_each);
                }
                self.carried.start(session, resource_type);
            }
        }
        Ok(Page {
            rows,
            next: page_token::write(next, list, &self.token_scope),
        })
    }

    /// Reads a page of the provider's list. If the list is empty, it is read twice and has to pass the provider's checks.
    async fn read_page(
        &self,
        session: SessionHandle<'_>,
        resources: &Arc<dyn ResourceType>,
        from: Option<Cursor>,
        limit: Option<NonZeroUsize>,
        call: &CallContext,
    ) -> Result<Rows<Resource>, GovernanceError> {
        let is_first = from.is_none();
        let read = |from| async move {
            match self.prefetch.resources(session, resources, from, limit, call).await {
                Ok(page) => Ok(page),
                Err(failure) => Err(resources.explain(failure, None, call).await),
            }
        };
        let mut page = read(from).await?;
        if page.rows.is_empty() && is_first {
            resources.check_empty(EmptyReading::First, call).await?;
            page = read(None).await?;
            if page.rows.is_empty() {
                resources.check_empty(EmptyReading::Second, call).await?;
            }
        }
        Ok(page)
    }

    /// The last rows of the list of users, and as many of the `unlisted` users as fit the page.
    fn final_page(
        &self,
        resource_type: &'static ResourceTypeInfo,
        mut rows: Vec<Resource>,
        unlisted: Vec<UnlistedUser>,
        limit: Option<NonZeroUsize>,
    ) -> Page<Resource> {
        let capacity = limit.map_or(usize::MAX, |limit| limit.get().saturating_sub(rows.len()));
        let has_more = unlisted.len() > capacity;
        let mut last = Uuid::nil();
        for UnlistedUser { user, name } in unlisted.into_iter().take(capacity) {
            last = user;
            let id = ResourceId {
                resource_type,
                id: user,
            };
            rows.push(Resource::named(id, name));
        }
        let next = has_more.then_some(Position::After(last)).and_then(Position::cursor);
        Page {
            rows,
            next: page_token::write(next, List::Unlisted(resource_type), &self.token_scope),
        }
    }
}
