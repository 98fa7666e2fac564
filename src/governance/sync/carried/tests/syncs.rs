//! Syncs of what groups carry of objects.

use super::provider::{GROUPS, Server, groups, objects};
use super::*;
use crate::governance::Lane;
use crate::governance::provider::MockProvider;
use crate::governance::rate_limit::BudgetState;
use crate::governance::sync::ListHistory;
use crate::governance::sync::observed_lists::PageEnds;
use crate::governance::sync::session::Sessions;

pub(super) const MAX_AGE: Duration = Duration::from_secs(600);
pub(super) const MAX_WAIT: Duration = Duration::from_secs(45);
pub(super) const CONCURRENCY: usize = 4;

pub(super) const ONLY_PAGE: PageEnds = PageEnds {
    is_first: true,
    is_last: true,
};

/// The access that groups carry to objects, and the syncs that request it.
pub(super) struct Syncs {
    pub(super) sessions: Sessions,
    pub(super) access: CarriedAccess,
    pub(super) objects: Arc<dyn ResourceType>,
}

impl Syncs {
    pub(super) fn new(server: &Server) -> Self {
        let (groups, objects) = (groups(server), objects(server));
        let types = vec![groups, Arc::clone(&objects)];
        let mut provider = MockProvider::new();
        provider.expect_resource_types().return_const(types);
        provider.expect_list_history().return_const(ListHistory::default());
        provider.expect_max_wait().return_const(MAX_WAIT);
        provider.expect_budget().returning(|| BudgetState {
            buckets: Vec::new(),
            sent: 0,
            in_flight: 0,
            waiting: Lane::ALL.map(|lane| (lane, 0)),
        });
        let forecast = server.clone();
        provider
            .expect_forecast()
            .returning(move |_, _| forecast.with(|state| Some(Instant::now() + state.forecast?)));
        Self {
            sessions: Sessions::default(),
            access: CarriedAccess::new(Arc::new(provider), CONCURRENCY, MAX_AGE),
            objects,
        }
    }

    /// Lists the groups and the objects 1 to 3 in a sync.
    pub(super) fn list(&self, sync: &str) {
        let session = self.sessions.session(sync);
        for (listed, count) in [(&GROUP, GROUPS), (&OBJECT, 3)] {
            let ids = (1..=count).map(Uuid::from_u128);
            session.update_observed(|observed| observed.record_resources(listed, ONLY_PAGE, ids));
            self.access.start(session, listed);
        }
    }

    pub(super) async fn page(
        &self,
        sync: &str,
        object: u128,
        from: Option<Cursor>,
        limit: Option<usize>,
        call: &CallContext,
    ) -> Result<Rows<Holding>, GovernanceError> {
        let (session, limit) = (self.sessions.session(sync), limit.and_then(NonZeroUsize::new));
        let id = Uuid::from_u128(object);
        self.access.grants(session, &self.objects, id, from, limit, call).await
    }

    /// The groups that hold a level of the object.
    pub(super) async fn holders(&self, sync: &str, object: u128) -> Result<Vec<u128>, GovernanceError> {
        let page = self.page(sync, object, None, None, &call()).await?;
        assert_eq!(page.next, None);
        Ok(page.rows.iter().map(|row| row.principal.id.as_u128()).collect())
    }
}

pub(super) fn call() -> CallContext {
    CallContext::new(Lane::Sync)
}
