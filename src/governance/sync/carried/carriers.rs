//! The principals of a sync whose lists this process did not read, because the sync began in another process or requests one
//! resource only.

use std::sync::Arc;

use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::governance::provider::{ListStage, ResourceType};
use crate::governance::sync::session::WeakSession;
use crate::governance::sync::{ListHistory, complete_list};
use crate::governance::{CallContext, GovernanceError};

/// The principals, listed once for all types of which they carry access.
#[derive(Debug)]
pub(super) struct CarrierList {
    session: WeakSession,
    ids: OnceCell<Arc<[Uuid]>>,
}

impl CarrierList {
    /// The principals of a sync, which are listed on demand.
    pub(super) fn new(session: WeakSession) -> Self {
        Self {
            session,
            ids: OnceCell::new(),
        }
    }

    /// The ids of the principals. If prefetching listed them after it joined the sync late, they are not listed again, and the other
    /// way round.
    ///
    /// # Errors
    /// For a view that is known to be partial, or what keeps the list from being read completely. The next call reads it again.
    pub(super) async fn get(
        &self,
        carriers: &dyn ResourceType,
        history: &ListHistory,
        call: &CallContext,
    ) -> Result<Arc<[Uuid]>, GovernanceError> {
        let list = async || {
            carriers.check_visibility(ListStage::First, call).await?;
            let type_id = carriers.info().id;
            let mut listed = None;
            self.session
                .update_prefetched(|prefetched| listed = prefetched.joined_late(type_id));
            if let Some(listed) = listed {
                return Ok(listed.into());
            }
            let rows = complete_list(carriers, history, call).await?;
            let ids: Arc<[Uuid]> = rows.iter().map(|row| row.id.id).collect();
            self.session
                .update_prefetched(|prefetched| prefetched.join_late_with(type_id, &ids));
            Ok(ids)
        };
        self.ids.get_or_try_init(list).await.cloned()
    }
}
