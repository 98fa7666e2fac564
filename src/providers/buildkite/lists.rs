//! Whole lists of the organization, read now, for decisions that need every row.

use std::sync::Arc;
use std::time::Duration;

use super::credential_status::EVIDENCE_MAX_AGE;
use super::pagination::{Batch, Cursor, Row};
use super::{ApiError, Buildkite, Endpoint, OrganizationMember, OwnerRole, Team, Upstream};
use crate::governance::{CallContext, GovernanceError, PartialVisibility};

/// A row of the organization's people or teams, whichever list is read.
pub(crate) trait PrefetchableRow: Row + Sized + 'static {
    /// Where the list is.
    const ENDPOINT: Endpoint;

    /// Reads some rows of the list.
    fn read(
        upstream: Arc<dyn Upstream>,
        from: Cursor,
        enough: usize,
        call: CallContext,
    ) -> impl Future<Output = Result<Batch<Self>, ApiError>> + Send + 'static;
}

impl PrefetchableRow for OrganizationMember {
    const ENDPOINT: Endpoint = Endpoint::OrganizationMembers;

    async fn read(
        upstream: Arc<dyn Upstream>,
        from: Cursor,
        enough: usize,
        call: CallContext,
    ) -> Result<Batch<Self>, ApiError> {
        upstream.people(from, enough, &call).await
    }
}

impl PrefetchableRow for Team {
    const ENDPOINT: Endpoint = Endpoint::Teams;

    async fn read(
        upstream: Arc<dyn Upstream>,
        from: Cursor,
        enough: usize,
        call: CallContext,
    ) -> Result<Batch<Self>, ApiError> {
        upstream.teams(from, enough, &call).await
    }
}

impl Buildkite {
    /// A whole list, as far as the token is shown it, read now. An empty one is believed as one of a sync is.
    pub(crate) async fn read_all<R: PrefetchableRow>(&self, call: &CallContext) -> Result<Vec<R>, GovernanceError> {
        let mut rows: Vec<R> = self.read_list(call).await?;
        if rows.is_empty() && R::ENDPOINT == Endpoint::OrganizationMembers {
            return self.reject_empty_user_list(call).await;
        }
        if rows.is_empty() {
            rows = self.read_list(call).await?;
        }
        if rows.is_empty() {
            self.confirm_no_teams(call).await?;
        } else if R::ENDPOINT == Endpoint::Teams {
            self.list_history.record_team(rows.first().map(|row| row.id().into()));
        }
        Ok(rows)
    }

    async fn read_list<R: PrefetchableRow>(&self, call: &CallContext) -> Result<Vec<R>, GovernanceError> {
        let mut rows = Vec::new();
        let mut cursor = Some(Cursor::Start);
        let list_call = call.clone().with_concurrency(self.list_concurrency);
        while let Some(from) = cursor {
            let batch = match R::read(Arc::clone(&self.upstream), from, usize::MAX, list_call.clone()).await {
                Ok(batch) => batch,
                Err(error) => return Err(self.call_error(error, call).await),
            };
            rows.extend(batch.rows);
            cursor = batch.next;
        }
        Ok(rows)
    }

    /// An empty list is believed only when the token and the organization were just seen to be in order.
    pub(crate) async fn confirm_empty_list(&self, call: &CallContext) -> Result<(), GovernanceError> {
        self.credential_status(EVIDENCE_MAX_AGE, call).await.map(|_| ())
    }

    pub(crate) async fn ensure_complete_view(&self, age: Duration, call: &CallContext) -> Result<(), GovernanceError> {
        let standing = self.credential_status(age, call).await?;
        match (standing.owner_role, self.partial_visibility) {
            (OwnerRole::Member, PartialVisibility::Refuse) => Err(GovernanceError::PartialVisibility {
                owner: standing.owner_label(),
            }),
            _ => Ok(()),
        }
    }
}
