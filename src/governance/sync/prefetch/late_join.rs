//! A sync that this process joins late: after a restart, or as one of several processes.
//!
//! Its teams were listed elsewhere, so they are listed here once, beside the call that asks for the members of one of them.
//! That call does not wait for it and does not fail with it. Teams that come before the first one asked for here are taken as
//! read elsewhere: nothing is read ahead for them.

use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::list::PrefetchableRow;
use super::{Mutex, Prefetch, PrefetchSession, State};
use crate::governance::Upstream;
use crate::providers::buildkite::pagination::Cursor;
use crate::providers::buildkite::{ApiError, ApiErrorKind, CallContext, Lane, Team, TeamId};

/// Minimum delay before a list is requested again after the rate limit rejected it.
const MIN_RETRY_DELAY: Duration = Duration::from_secs(10);

impl Prefetch {
    /// Lists the teams of a sync of which `team` is not known here, unless that was begun before. Must be called within a
    /// runtime.
    pub(crate) fn join_late(&self, id: &str, sync: &mut PrefetchSession, team: TeamId) {
        if sync.late_join.is_some() || sync.members.knows(team) {
            return;
        }
        let listing = list(
            Arc::clone(&self.upstream),
            Arc::downgrade(&self.state),
            id.to_owned(),
            self.limit,
        );
        sync.late_join = Some(AbortOnDropHandle::new(tokio::spawn(listing)));
    }
}

async fn list(upstream: Arc<dyn Upstream>, state: Weak<Mutex<State>>, id: String, together: usize) {
    let call = CallContext::new(Lane::Sync).with_concurrency(together);
    let (mut teams, mut position) = (Vec::new(), Some(Cursor::Start));
    while let Some(from) = position {
        match Team::read(Arc::clone(&upstream), from.clone(), usize::MAX, call.clone()).await {
            Ok(batch) => {
                teams.extend(batch.rows.into_iter().map(|team| team.id));
                position = batch.next;
            }
            Err(ApiError {
                kind: ApiErrorKind::RateLimited(closed),
                ..
            }) => {
                let soonest = Instant::now() + MIN_RETRY_DELAY;
                tokio::time::sleep_until(closed.retry_at.map_or(soonest, |retry_at| retry_at.max(soonest))).await;
                position = Some(from);
            }
            Err(error) => {
                tracing::info!(%error, "the teams of a sync that was begun elsewhere cannot be listed: nothing is read ahead for it");
                return;
            }
        }
    }
    let Some(state) = state.upgrade() else {
        return;
    };
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(sync) = state.sessions.get_mut(&id).filter(|sync| sync.late_join.is_some()) {
        sync.members.record_late_join(teams.into_iter());
    }
}
