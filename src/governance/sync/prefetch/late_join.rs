//! A sync that this process joins late: after a restart, or as one of several processes.
//!
//! Its resources were listed elsewhere, so they are listed here once, concurrently with the call that requests the grants of one of
//! them. That call does not wait for the list and does not fail with it. The grants of resources that come before the first one
//! requested here are assumed to be read elsewhere: nothing is prefetched for them.

use std::sync::Arc;

use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use super::{Prefetch, PrefetchedLists};
use crate::governance::provider::{Amount, ResourceType};
use crate::governance::sync::rate_limit_reset::wait_for_reset;
use crate::governance::sync::session::{SessionHandle, WeakSession};
use crate::governance::{CallContext, GovernanceError, Lane};
use crate::telemetry::traces::OperationSpan;

impl Prefetch {
    /// Lists the resources of a sync in which `resource` is not known here, unless that was started before. Must be called within a
    /// runtime.
    pub(super) fn join_late(
        &self,
        session: SessionHandle<'_>,
        prefetched: &mut PrefetchedLists,
        resources: &Arc<dyn ResourceType>,
        resource: Uuid,
    ) {
        let type_id = resources.info().id;
        let grants = prefetched.grants.get(type_id);
        let is_known = grants.is_some_and(|grants| grants.knows(resource));
        if is_known || prefetched.late_joins.contains_key(type_id) {
            return;
        }
        let listing = list(Arc::clone(resources), session.downgrade(), self.limit);
        let span = OperationSpan::prefetched_page("resources", type_id);
        let listing = AbortOnDropHandle::new(tokio::spawn(span.instrument(listing)));
        prefetched.late_joins.insert(type_id, listing);
    }
}

impl PrefetchedLists {
    /// The resources of a type, if they were listed here because the sync was joined late.
    pub(crate) fn joined_late(&self, type_id: &str) -> Option<Vec<Uuid>> {
        self.grants.get(type_id)?.joined_late().map(<[Uuid]>::to_vec)
    }

    /// Records the resources of a type that were listed because the sync was joined late, unless the sync listed some here.
    pub(crate) fn join_late_with(&mut self, type_id: &'static str, resources: &[Uuid]) {
        let grants = self.grants.entry(type_id).or_default();
        if !grants.knows_any() {
            grants.record_late_join(resources.iter().copied());
        }
    }
}

async fn list(resources: Arc<dyn ResourceType>, session: WeakSession, concurrency: usize) {
    let call = CallContext::new(Lane::Sync).with_concurrency(concurrency);
    let (mut listed, mut from) = (Vec::new(), None);
    loop {
        match resources.list(from.clone(), Amount::All, &call).await {
            Ok(mut batch) => {
                let page = batch.take_all();
                listed.extend(page.rows.into_iter().map(|row| row.id.id));
                from = page.next;
                if from.is_none() {
                    break;
                }
            }
            Err(failure) => {
                let GovernanceError::RateLimited(limit) = failure.error else {
                    tracing::info!(error = %failure.error, "the resources of a sync that began elsewhere cannot be listed: nothing is prefetched for it");
                    return;
                };
                wait_for_reset(&limit, &call).await;
            }
        }
    }
    let type_id = resources.info().id;
    session.update_prefetched(|prefetched| {
        // A sync that listed the resources here meanwhile is not joined late.
        if prefetched.late_joins.contains_key(type_id) {
            let grants = prefetched.grants.entry(type_id).or_default();
            grants.record_late_join(listed.into_iter());
        }
    });
}
