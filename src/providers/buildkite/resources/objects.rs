//! Objects that REST addresses by slug alone: pipelines, suites and registries. Their ids are found in their complete list.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;
use uuid::Uuid;

use super::latest_list::{LatestList, Reading};
use super::rows::{converted, min_rows, position};
use crate::governance::model::{Holding, Resource, ResourceId, ResourceTypeInfo};
use crate::governance::provider::{
    Amount, Assignable, Batch, CarriedGrants, Cursor, EmptyReading, Failure, FailureClass, ListStage, OwnerRole,
    ResourceType,
};
use crate::governance::{CallContext, GovernanceError, sync};
use crate::providers::buildkite::credential_status::EVIDENCE_MAX_AGE;
use crate::providers::buildkite::pagination::{self, Row};
use crate::providers::buildkite::{ApiError, ApiErrorKind, Buildkite, Client, Endpoint, ObjectSlug};

/// A row of the list of such a type, and what the type does with it.
#[async_trait]
pub(in crate::providers::buildkite) trait ObjectRow:
    Row + Clone + Debug + Sync + Sized + 'static
{
    /// The type.
    const INFO: &'static ResourceTypeInfo;
    /// The request for its list.
    const LIST: Endpoint;
    /// Whether a row of the list names the principals that hold a level of the object.
    const LISTS_PRINCIPALS: bool = false;

    /// Reads the list from `from` on: at least `min_rows` rows, unless it ends.
    async fn read(
        client: &Client,
        from: pagination::Cursor,
        min_rows: usize,
        call: &CallContext,
    ) -> Result<pagination::Batch<Self>, ApiError>;

    /// Reads the object with this slug.
    async fn read_one(client: &Client, slug: ObjectSlug, call: &CallContext) -> Result<Self, ApiError>;

    /// The object's slug as Buildkite wrote it.
    fn slug(&self) -> Option<&str>;

    /// The row as a resource of the organization with this slug.
    fn resource(self, organization: &str) -> Resource;

    /// The principals that hold a level of the object `id`. What teams carry is listed team by team, and not here.
    async fn grants(
        _: &Objects<Self>,
        _: Uuid,
        _: Option<Cursor>,
        _: &CallContext,
    ) -> Result<Box<dyn Batch<Holding>>, Failure> {
        Err(Failure::from(GovernanceError::Unexpected {
            endpoint: Self::INFO.grants_endpoint,
            what: format!("the grants of a {} are listed by their principals alone", Self::INFO),
        }))
    }

    /// Reads what teams carry of the type; `None` if they carry nothing of it.
    fn carried(_: &Objects<Self>) -> Option<&dyn CarriedGrants> {
        None
    }

    /// Reads and writes the type's levels; `None` if they cannot be changed.
    fn assignable(_: &Objects<Self>) -> Option<&dyn Assignable> {
        None
    }
}

/// The objects of a type in one organization.
#[derive(Debug)]
pub(in crate::providers::buildkite) struct Objects<R> {
    buildkite: Arc<Buildkite>,
    latest: LatestList<R>,
    /// The slug of an object of the latest list that was not empty.
    listed: Mutex<Option<ObjectSlug>>,
}

impl<R: ObjectRow> Objects<R> {
    /// The objects of the organization; a list may be `max_age` old where a single object is looked up.
    pub(super) fn new(buildkite: Arc<Buildkite>, max_age: Duration) -> Self {
        Self {
            buildkite,
            latest: LatestList::new(max_age),
            listed: Mutex::default(),
        }
    }

    pub(super) fn buildkite(&self) -> &Arc<Buildkite> {
        &self.buildkite
    }

    /// The row of an object, from a list that is recent enough, else from a new one.
    ///
    /// # Errors
    /// `ResourceNotFound` if the object is proven absent, `ResourceUnreachable` if it is not listed and not proven absent, or the
    /// failure to read the list.
    pub(super) async fn row(&self, id: Uuid, call: &CallContext) -> Result<R, GovernanceError> {
        let recent = self
            .latest
            .recent(R::LIST.name(), call, || self.read_list(call))
            .await?;
        if let Some(row) = recent.find(id) {
            return Ok(row.clone());
        }
        self.row_anew(id, call).await
    }

    /// The row of an object, from a new list.
    ///
    /// # Errors
    /// As for [`Self::row`].
    async fn row_anew(&self, id: Uuid, call: &CallContext) -> Result<R, GovernanceError> {
        // Read the role before and after the list: a list proves absence only if its reader is shown every object.
        let call = &call.uncoalesced();
        let status = self.buildkite.credential_status(Duration::ZERO, call).await?;
        if let Some(row) = self.anew(call).await?.find(id) {
            return Ok(row.clone());
        }
        let was_admin = status.owner_role == OwnerRole::Admin;
        let is_gone = was_admin && self.buildkite.fetch_owner_role(call).await? == OwnerRole::Admin;
        let resource = ResourceId {
            resource_type: R::INFO,
            id,
        };
        Err(if is_gone {
            GovernanceError::ResourceNotFound { resource }
        } else {
            GovernanceError::ResourceUnreachable { resource }
        })
    }

    /// Accepts an empty list that was read twice, unless an object that was listed before responds.
    async fn confirm_none(&self, call: &CallContext) -> Result<(), GovernanceError> {
        let listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(slug) = listed else {
            return Ok(());
        };
        match R::read_one(&self.buildkite.client, slug.clone(), call).await {
            Ok(_) => Err(GovernanceError::Unexpected {
                endpoint: R::LIST.name(),
                what: format!("an empty list, twice, although {} `{slug}` exists", R::INFO),
            }),
            Err(ApiError {
                kind: ApiErrorKind::NotFound,
                ..
            }) => Ok(()),
            Err(error) => Err(self.buildkite.explain(error.into(), call).await),
        }
    }

    async fn anew(&self, call: &CallContext) -> Result<Arc<Reading<R>>, GovernanceError> {
        self.latest.anew(R::LIST.name(), || self.read_list(call)).await
    }

    /// Reads the whole list, which [`ResourceType::list`] records.
    async fn read_list(&self, call: &CallContext) -> Result<(), GovernanceError> {
        let call = call.clone().with_concurrency(self.buildkite.list_concurrency);
        let list = sync::complete_list(self, &self.buildkite.list_history, &call);
        list.await.map(drop)
    }
}

#[async_trait]
impl<R: ObjectRow> ResourceType for Objects<R> {
    fn info(&self) -> &'static ResourceTypeInfo {
        R::INFO
    }

    async fn list(
        &self,
        from: Option<Cursor>,
        amount: Amount,
        call: &CallContext,
    ) -> Result<Box<dyn Batch<Resource>>, Failure> {
        let (from, begun) = (position(from)?, Instant::now());
        let batch = R::read(&self.buildkite.client, from.clone(), min_rows(amount), call).await?;
        if let Some(slug) = batch.rows.iter().find_map(|row| ObjectSlug::of(row.slug()?)) {
            *self.listed.lock().unwrap_or_else(PoisonError::into_inner) = Some(slug);
        }
        let rows = batch.rows.iter().cloned();
        self.latest.record(&from, begun, rows, batch.next.as_ref());
        let buildkite = Arc::clone(&self.buildkite);
        Ok(converted(batch, move |row: R| {
            row.resource(buildkite.organization_slug())
        }))
    }

    async fn get(&self, id: Uuid, call: &CallContext) -> Result<Resource, Failure> {
        let row = self.row(id, call).await?;
        Ok(row.resource(self.buildkite.organization_slug()))
    }

    async fn get_now(&self, id: Uuid, call: &CallContext) -> Result<Resource, Failure> {
        let row = self.row_anew(id, call).await?;
        Ok(row.resource(self.buildkite.organization_slug()))
    }

    async fn grants(
        &self,
        id: Uuid,
        from: Option<Cursor>,
        _: Amount,
        call: &CallContext,
    ) -> Result<Box<dyn Batch<Holding>>, Failure> {
        R::grants(self, id, from, call).await
    }

    async fn explain(&self, failure: Failure, resource: Option<Uuid>, call: &CallContext) -> GovernanceError {
        match (failure.class, resource) {
            // Something about the object was not found: the object itself, or another part of the path.
            (FailureClass::NotFound, Some(id)) => match self.row_anew(id, call).await {
                Ok(_) => GovernanceError::ResourceUnreachable {
                    resource: ResourceId {
                        resource_type: R::INFO,
                        id,
                    },
                },
                Err(error) => error,
            },
            (FailureClass::NotFound, None) => self.buildkite.explain_missing_list(R::LIST, call).await,
            _ => self.buildkite.explain(failure, call).await,
        }
    }

    async fn explain_unlisted(&self, name: &str, _: &CallContext) -> GovernanceError {
        GovernanceError::Invalid {
            field: R::INFO.id,
            problem: format!(
                "the token's owner is shown no {} with the slug `{name}`: check the slug and the owner's role",
                R::INFO
            ),
        }
    }

    async fn check_visibility(&self, stage: ListStage, call: &CallContext) -> Result<(), GovernanceError> {
        self.buildkite.check_visibility(R::INFO, stage, call).await
    }

    async fn check_empty(&self, reading: EmptyReading, call: &CallContext) -> Result<(), GovernanceError> {
        match reading {
            EmptyReading::First => self.buildkite.confirm_works(EVIDENCE_MAX_AGE, call).await,
            EmptyReading::Second => self.confirm_none(call).await,
        }
    }

    fn carried(&self) -> Option<&dyn CarriedGrants> {
        R::carried(self)
    }

    fn assignable(&self) -> Option<&dyn Assignable> {
        R::assignable(self)
    }

    fn invalidate(&self, _: ResourceId) {
        if R::LISTS_PRINCIPALS {
            self.latest.invalidate();
        }
    }
}
