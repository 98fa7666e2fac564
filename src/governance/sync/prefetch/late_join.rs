//! A sync that this process joins late: after a restart, or as one of several processes.
//!
//! Its resources were listed elsewhere, so they are listed here once, beside the call that requests the grants of one of them.
//! That call does not wait for the list and does not fail with it. Resources that come before the first one requested here are
//! taken as read elsewhere: nothing is prefetched for them.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use super::{Prefetch, PrefetchSession, State};
use crate::governance::provider::{Amount, ResourceType};
use crate::governance::{CallContext, GovernanceError, Lane};

/// Minimum delay before a list is requested again after the rate limit rejected it.
const MIN_RETRY_DELAY: Duration = Duration::from_secs(10);

impl Prefetch {
    /// Lists the resources of a sync in which `resource` is not known here, unless that was begun before. Must be called within a
    /// runtime.
    pub(super) fn join_late(
        &self,
        id: &str,
        sync: &mut PrefetchSession,
        resources: &Arc<dyn ResourceType>,
        resource: Uuid,
    ) {
        let type_id = resources.info().id;
        let is_known = sync.grants.get(type_id).is_some_and(|grants| grants.knows(resource));
        if is_known || sync.late_joins.contains_key(type_id) {
            return;
        }
        let listing = list(
            Arc::clone(resources),
            Arc::downgrade(&self.state),
            id.to_owned(),
            self.limit,
        );
        let listing = AbortOnDropHandle::new(tokio::spawn(listing));
        sync.late_joins.insert(type_id, listing);
    }
}

async fn list(resources: Arc<dyn ResourceType>, state: Weak<Mutex<State>>, id: String, concurrency: usize) {
    let call = CallContext::new(Lane::Sync).with_concurrency(concurrency);
    let (mut listed, mut from) = (Vec::new(), None);
    loop {
        match resources.list(from.clone(), Amount::All, &call).await {
            Ok(mut batch) => {
                let part = batch.take_all();
                listed.extend(part.rows.into_iter().map(|row| row.id.id));
                from = part.next;
                if from.is_none() {
                    break;
                }
            }
            Err(failure) => {
                let GovernanceError::RateLimited(limit) = failure.error else {
                    tracing::info!(error = %failure.error, "the list of a sync that began elsewhere cannot be read: nothing is prefetched for it");
                    return;
                };
                let soonest = Instant::now() + MIN_RETRY_DELAY;
                tokio::time::sleep_until(limit.retry_at.map_or(soonest, |retry_at| retry_at.max(soonest))).await;
            }
        }
    }
    let Some(state) = state.upgrade() else {
        return;
    };
    let type_id = resources.info().id;
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    let session = state.sessions.get_mut(&id);
    if let Some(session) = session.filter(|session| session.late_joins.contains_key(type_id)) {
        let grants = session.grants.entry(type_id).or_default();
        grants.record_late_join(listed.into_iter());
    }
}
