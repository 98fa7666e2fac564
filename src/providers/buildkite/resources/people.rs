//! The roles of the people of the organization, from the list of people that the type `user` reads.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::latest_list::{LatestList, Reading};
use super::users::Users;
use crate::governance::{CallContext, GovernanceError, sync};
use crate::providers::buildkite::pagination::{Batch, Cursor, Row};
use crate::providers::buildkite::{Buildkite, Endpoint, OrganizationMember, UserId};

/// A person of the organization.
#[derive(Debug, Clone)]
pub(super) struct Person {
    pub(super) id: UserId,
    pub(super) name: Option<String>,
    /// The role in the organization as Buildkite wrote it.
    pub(super) role: Option<Box<str>>,
}

impl Row for Person {
    fn id(&self) -> Uuid {
        self.id.uuid()
    }

    fn created_at(&self) -> Option<&str> {
        None
    }
}

impl From<&OrganizationMember> for Person {
    fn from(member: &OrganizationMember) -> Self {
        Self {
            id: member.id,
            name: member.name.clone(),
            role: member.role.as_deref().map(Box::from),
        }
    }
}

/// The people of one organization as they were listed last.
#[derive(Debug)]
pub(super) struct People(LatestList<Person>);

impl People {
    /// The people of a list that may be `max_age` old outside of the sync that read it.
    pub(super) fn new(max_age: Duration) -> Self {
        Self(LatestList::new(max_age))
    }

    /// Records people that were listed from `from` on by a request that began at `begun`.
    pub(super) fn record(&self, from: &Cursor, begun: Instant, batch: &Batch<OrganizationMember>) {
        self.0
            .record(from, begun, batch.rows.iter().map(Person::from), batch.next.as_ref());
    }

    /// Drops what was read of the people, because this process changes a role or removes a person.
    pub(super) fn invalidate(&self) {
        self.0.invalidate();
    }

    /// The people of a complete list that is recent enough for the call, else of a new one.
    ///
    /// # Errors
    /// What keeps the list from being read completely.
    pub(super) async fn recent(
        self: &Arc<Self>,
        buildkite: &Arc<Buildkite>,
        call: &CallContext,
    ) -> Result<Arc<Reading<Person>>, GovernanceError> {
        let read = || self.read(buildkite, call);
        self.0.recent(Endpoint::OrganizationMembers.name(), call, read).await
    }

    /// The people of a complete list that is read now.
    ///
    /// # Errors
    /// As for [`Self::recent`].
    pub(super) async fn anew(
        self: &Arc<Self>,
        buildkite: &Arc<Buildkite>,
        call: &CallContext,
    ) -> Result<Arc<Reading<Person>>, GovernanceError> {
        let read = || self.read(buildkite, call);
        self.0.anew(Endpoint::OrganizationMembers.name(), read).await
    }

    /// Reads the whole list, which [`Users`] records.
    async fn read(self: &Arc<Self>, buildkite: &Arc<Buildkite>, call: &CallContext) -> Result<(), GovernanceError> {
        let users = Users::new(Arc::clone(buildkite), Some(Arc::clone(self)));
        let call = call.clone().with_concurrency(buildkite.list_concurrency);
        let list = sync::complete_list(&users, &buildkite.list_history, &call);
        list.await.map(drop)
    }
}
