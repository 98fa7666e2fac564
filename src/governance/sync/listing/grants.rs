//! The list of a resource's grants.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use super::{Listings, Page};
use crate::governance::model::{EntitlementId, Grant, GrantId, Holding, ResourceId};
use crate::governance::provider::Rows;
use crate::governance::sync::observed_lists::PageEnds;
use crate::governance::sync::page_token::{self, List};
use crate::governance::sync::session::SessionHandle;
use crate::governance::{CallContext, GovernanceError};
use crate::telemetry::traces::OperationSpan;

impl Listings {
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
        let page = self.page_of_grants(resource, page_token, limit, sync, call);
        OperationSpan::sync_page("grants", resource.resource_type.id)
            .run(page)
            .await
    }

    async fn page_of_grants(
        &self,
        resource: ResourceId,
        page_token: &str,
        limit: Option<NonZeroUsize>,
        sync: &str,
        call: &CallContext,
    ) -> Result<Page<Grant>, GovernanceError> {
        let list = List::Grants(resource);
        let (from, unknown_before) = page_token::read_with_unknown_levels(page_token, list, &self.token_scope)?;
        let is_first = from.is_none();
        let session = self.sessions.session(sync);
        let resources = self.resource_type(resource.resource_type)?;
        let call = &call.clone().reusing_reads_since(session.began());
        let read = |from| async move {
            if resources.carried().is_some() {
                return self
                    .carried
                    .grants(session, resources, resource.id, from, limit, call)
                    .await;
            }
            let page = self.prefetch.grants(session, resources, resource.id, from, limit, call);
            match page.await {
                Ok(page) => Ok(page),
                Err(failure) => Err(self.explain(resources.as_ref(), failure, resource.id, call).await),
            }
        };
        let mut page = read(from).await?;
        let history = self.provider.list_history();
        if page.rows.is_empty() && is_first {
            // Any earlier evidence of this process suffices: an outage or a lost scope is an error, never an empty response.
            self.provider.confirm_access(Duration::MAX, call).await?;
            if history.had_grants(resource) {
                page = read(None).await?;
            }
        }
        let Rows { rows, next } = page;
        let is_last = next.is_none();
        if is_first {
            history.record_grants(resource, !rows.is_empty());
        }
        let only_unknown = (unknown_before || (is_first && !rows.is_empty())) && has_no_known_level(&rows);
        if only_unknown && is_last {
            return Err(GovernanceError::Unexpected {
                endpoint: resource.resource_type.grants_endpoint,
                what: format!(
                    "{} {} has grants, but none with a level that the connector knows",
                    resource.resource_type, resource.id
                ),
            });
        }
        let rows = listed_in_time(session, resource, rows);
        let known = rows.iter().filter(|row| row.level.is_some());
        let principals = known.map(|row| (row.principal, row.name.as_deref()));
        let ends = PageEnds { is_first, is_last };
        let recorded = self.unlisted_users.record_grants(session, resource, ends, principals);
        if recorded.newly_unlisted > 0 {
            tracing::info!(
                %resource,
                newly_unlisted = recorded.newly_unlisted,
                "principals that the list of users lacks: listed from the next sync on"
            );
        }
        if let Some(progress) = recorded.progress {
            // Carried grants cost no request of their own.
            let requests_each = usize::from(resources.carried().is_none());
            self.progress.log_progress(&*self.provider, progress, requests_each);
        }
        let unknown_levels = rows.iter().filter(|row| row.level.is_none()).count();
        if unknown_levels > 0 {
            tracing::warn!(%resource, unknown_levels, "principals with an unknown level are left out of the grants");
        }
        Ok(Page {
            rows: known_grants(resource, rows),
            next: page_token::write_with_unknown_levels(next, only_unknown, list, &self.token_scope),
        })
    }
}

/// The rows whose principal a sync can refer to. A principal that the sync's complete list lacks became known after it; unless the
/// resource's type reports such principals, the row is left out and comes with the next sync. A row with an unknown level is no grant,
/// and is counted as such.
fn listed_in_time(session: SessionHandle<'_>, resource: ResourceId, mut rows: Vec<Holding>) -> Vec<Holding> {
    if resource.resource_type.reports_unlisted_principals() {
        return rows;
    }
    let before = rows.len();
    session.update_observed(|observed| rows.retain(|row| row.level.is_none() || !observed.lacks(row.principal)));
    let left_out = before - rows.len();
    if left_out > 0 {
        tracing::info!(%resource, left_out, "grants of principals that this sync did not list are left out until the next sync");
    }
    rows
}

/// Whether no row has a level of the catalog. A list without such a row was not understood.
fn has_no_known_level(rows: &[Holding]) -> bool {
    rows.iter().all(|row| row.level.is_none())
}

/// The grants of the rows with a level of the catalog, one for each principal: of two rows about one principal, the later one is
/// current.
fn known_grants(resource: ResourceId, rows: Vec<Holding>) -> Vec<Grant> {
    let mut indexes: HashMap<ResourceId, usize> = HashMap::with_capacity(rows.len());
    let mut grants: Vec<Grant> = Vec::with_capacity(rows.len());
    for Holding { principal, name, level } in rows {
        let Some(level) = level else {
            continue;
        };
        let grant = Grant {
            id: GrantId {
                entitlement: EntitlementId { resource, level },
                principal,
            },
            principal_name: name,
        };
        if let Some(earlier) = indexes.get(&principal).and_then(|index| grants.get_mut(*index)) {
            *earlier = grant;
        } else {
            indexes.insert(principal, grants.len());
            grants.push(grant);
        }
    }
    grants
}
