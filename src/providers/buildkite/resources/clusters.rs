//! Clusters: people and teams maintain them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use uuid::Uuid;

use super::rows::{converted, min_rows, position, texts};
use super::teams::team_id;
use super::users::user_id;
use super::write_reply::{EchoedRow, write_reply};
use crate::governance::model::{Holding, Level, Membership, Resource, ResourceId, ResourceKind, ResourceTypeInfo};
use crate::governance::provider::{
    Amount, Assignable, Batch, Cursor, EmptyReading, Failure, FailureClass, Labels, ListStage, ResourceType, WriteReply,
};
use crate::governance::provisioning::{GuardLock, MaintainerRevoke, Write};
use crate::governance::{CallContext, Change, GovernanceError};
use crate::providers::buildkite::api::client::access::NewMaintainer;
use crate::providers::buildkite::{
    ApiErrorKind, Buildkite, Cluster, ClusterMaintainer, Endpoint, MaintainerId, pagination, timestamp,
};

/// Clusters, with the level `maintainer`.
pub static CLUSTER: ResourceTypeInfo = ResourceTypeInfo {
    id: "cluster",
    display_name: "Cluster",
    description: "A Buildkite cluster: its maintainers manage its queues, its agent tokens and its pipelines",
    kind: ResourceKind::Object,
    levels: &LEVELS,
    change: Some(Change::Access),
    lifecycle: &[],
    principal_kinds: &[ResourceKind::Group, ResourceKind::User],
    principal_rule: "only a `team` or a `user` can maintain a cluster",
    list_name: "clusters",
    grants_endpoint: "cluster maintainers",
    read_scopes: &["read_clusters"],
    write_scopes: &["write_clusters"],
    absence: "no longer exists",
    not_found_reason: "RESOURCE_NOT_FOUND",
    unreachable_reason: "RESOURCE_UNREACHABLE",
    unavailable_reason: "RESOURCES_UNAVAILABLE",
    unavailable_remedy: "check that the organization uses clusters, or leave cluster out of --include",
};

static LEVELS: [Level; 1] = [Level {
    slug: "maintainer",
    display_name: "Maintainer",
    order: 1,
    describe: |cluster| {
        format!(
            "Manages the queues, the agent tokens, the pipelines and the maintainers of the Buildkite cluster {cluster}"
        )
    },
}];

/// Manages the cluster.
pub static CLUSTER_MAINTAINER: &Level = &LEVELS[0];

/// The clusters of one organization.
#[derive(Debug)]
pub(in crate::providers::buildkite) struct Clusters {
    buildkite: Arc<Buildkite>,
    /// The row that the latest read of a level showed, until it is removed; one at most for each membership that a request named.
    rows: Mutex<HashMap<Membership, MaintainerId>>,
}

impl Clusters {
    pub(super) fn new(buildkite: Arc<Buildkite>) -> Self {
        Self {
            buildkite,
            rows: Mutex::default(),
        }
    }
}

#[async_trait]
impl ResourceType for Clusters {
    fn info(&self) -> &'static ResourceTypeInfo {
        &CLUSTER
    }

    async fn list(
        &self,
        from: Option<Cursor>,
        amount: Amount,
        call: &CallContext,
    ) -> Result<Box<dyn Batch<Resource>>, Failure> {
        let (from, min_rows) = (position(from)?, min_rows(amount));
        let batch = self.buildkite.client.clusters(from, min_rows, call).await?;
        Ok(converted(batch, resource))
    }

    async fn get(&self, id: Uuid, call: &CallContext) -> Result<Resource, Failure> {
        Ok(resource(self.buildkite.client.cluster(id.into(), call).await?))
    }

    async fn grants(
        &self,
        id: Uuid,
        from: Option<Cursor>,
        amount: Amount,
        call: &CallContext,
    ) -> Result<Box<dyn Batch<Holding>>, Failure> {
        let (from, min_rows) = (position(from)?, min_rows(amount));
        let client = &self.buildkite.client;
        let batch = client.cluster_maintainers(id.into(), from, min_rows, call).await?;
        Ok(converted(batch, holding))
    }

    async fn explain(&self, failure: Failure, resource: Option<Uuid>, call: &CallContext) -> GovernanceError {
        let buildkite = &self.buildkite;
        buildkite
            .explain_by_list(self, Endpoint::Clusters, failure, resource, call)
            .await
    }

    async fn explain_unlisted(&self, name: &str, _: &CallContext) -> GovernanceError {
        GovernanceError::Invalid {
            field: "cluster",
            problem: format!("no cluster has the name `{name}`: `list clusters` shows the existing ones"),
        }
    }

    async fn check_visibility(&self, _: ListStage, _: &CallContext) -> Result<(), GovernanceError> {
        Ok(())
    }

    async fn check_empty(&self, reading: EmptyReading, call: &CallContext) -> Result<(), GovernanceError> {
        self.buildkite
            .check_empty(self, Endpoint::Clusters, reading, call)
            .await
    }

    fn assignable(&self) -> Option<&dyn Assignable> {
        Some(self)
    }
}

fn cluster_id(id: Uuid) -> ResourceId {
    ResourceId {
        resource_type: &CLUSTER,
        id,
    }
}

/// A row whose actor is neither a user nor a team has no level, as it names no principal: it is counted and reported.
fn holding(maintainer: ClusterMaintainer) -> Holding {
    let principal = principal(&maintainer);
    let actor = maintainer.actor;
    Holding {
        principal: principal.unwrap_or_else(|| cluster_id(maintainer.id.uuid())),
        name: actor.and_then(|actor| actor.name.or(actor.slug)),
        level: principal.map(|_| CLUSTER_MAINTAINER),
    }
}

/// The user or the team that a row names; `None` if it names neither.
fn principal(maintainer: &ClusterMaintainer) -> Option<ResourceId> {
    let actor = maintainer.actor.as_ref()?;
    match actor.kind.as_deref() {
        Some("user") => Some(user_id(actor.id.into())),
        Some("team") => Some(team_id(actor.id.into())),
        _ => None,
    }
}

fn resource(cluster: Cluster) -> Resource {
    let id = cluster_id(cluster.id.uuid());
    let profile = texts([
        ("name", cluster.name.clone()),
        ("description", cluster.description.clone()),
    ]);
    Resource {
        profile: profile.collect(),
        description: cluster.description,
        created_at: cluster.created_at.as_deref().and_then(timestamp),
        ..Resource::named(id, cluster.name)
    }
}

#[async_trait]
impl Assignable for Clusters {
    async fn read_level(&self, membership: Membership, call: &CallContext) -> Result<Option<&'static Level>, Failure> {
        let row = self.find_row(membership, call).await?;
        let mut rows = self.lock_rows();
        match row {
            Some(row) => drop(rows.insert(membership, row)),
            None => drop(rows.remove(&membership)),
        }
        Ok(row.map(|_| CLUSTER_MAINTAINER))
    }

    async fn write(&self, membership: Membership, write: Write, call: &CallContext) -> Result<WriteReply, Failure> {
        let (client, cluster) = (&self.buildkite.client, membership.resource.id.into());
        let echo = if write.resulting_level().is_some() {
            let maintainer = match membership.principal.resource_type.kind {
                ResourceKind::Group => NewMaintainer::Team(membership.principal.id.into()),
                _ => NewMaintainer::User(membership.principal.id.into()),
            };
            client.add_cluster_maintainer(cluster, maintainer, call).await?
        } else {
            self.remove(membership, call).await?;
            None
        };
        let shown = echo.filter(|row| principal(row) == Some(membership.principal));
        let shown = shown.map(|_| EchoedRow {
            level: Some(CLUSTER_MAINTAINER),
            created_at: None,
        });
        Ok(write_reply(write, shown))
    }

    fn endpoint(&self, write: Write) -> &'static str {
        match write.resulting_level() {
            Some(_) => Endpoint::AddClusterMaintainer.name(),
            None => Endpoint::RemoveClusterMaintainer.name(),
        }
    }

    fn replacement(&self, _: &'static Level, _: MaintainerRevoke) -> Option<&'static Level> {
        None
    }

    /// Rejects a change after which an owner of a token who is no admin would not maintain the cluster, also one that takes nothing
    /// from the owner of the token that makes it: the connector could not undo it.
    async fn guard(
        &self,
        membership: Membership,
        write: Write,
        labels: &Labels,
        lock: &mut GuardLock,
        call: &CallContext,
    ) -> Result<(), GovernanceError> {
        let is_added = write.resulting_level().is_some();
        let buildkite = &self.buildkite;
        let owners = buildkite
            .dependent_owners(membership.resource, !is_added, lock, call)
            .await?;
        if owners.is_empty() {
            return Ok(());
        }
        let cluster = membership.resource.id;
        let maintainers = match self.maintainers(cluster, call).await {
            Ok(maintainers) => maintainers,
            Err(failure) => return Err(self.explain(failure, Some(cluster), call).await),
        };
        let remaining = maintainers.iter().filter_map(principal);
        let remaining = remaining.filter(|id| *id != membership.principal);
        let remaining: Vec<ResourceId> = remaining.chain(is_added.then_some(membership.principal)).collect();
        for owner in owners {
            if remaining.contains(&user_id(owner.id)) {
                continue;
            }
            let teams = buildkite.teams_of(owner.id, call).await?;
            let mut theirs = teams.into_iter().map(team_id).chain([user_id(owner.id)]);
            let is_concerned = owner.makes_the_change || theirs.clone().any(|id| id == membership.principal);
            if is_concerned && !theirs.any(|id| remaining.contains(&id)) {
                return Err(owner.lockout_error(&labels.resource));
            }
        }
        Ok(())
    }
}

impl Clusters {
    /// All maintainers of a cluster, read now.
    async fn maintainers(&self, cluster: Uuid, call: &CallContext) -> Result<Vec<ClusterMaintainer>, Failure> {
        let client = &self.buildkite.client;
        let list = client.cluster_maintainers(cluster.into(), pagination::Cursor::Start, usize::MAX, call);
        Ok(list.await?.rows)
    }

    /// The row by which the principal maintains the cluster, read now.
    async fn find_row(&self, membership: Membership, call: &CallContext) -> Result<Option<MaintainerId>, Failure> {
        let maintainers = self.maintainers(membership.resource.id, call).await?;
        let mut rows = maintainers.iter();
        let row = rows.find(|row| principal(row) == Some(membership.principal));
        Ok(row.map(|row| row.id))
    }

    /// Removes the row that the read before the write showed. A row is never that of another principal, but one who was removed and
    /// added again has another row, so the list is read again if the row is not found.
    async fn remove(&self, membership: Membership, call: &CallContext) -> Result<(), Failure> {
        let (client, cluster) = (&self.buildkite.client, membership.resource.id.into());
        let shown = self.lock_rows().remove(&membership);
        let mut not_found = None;
        if let Some(row) = shown {
            match client.remove_cluster_maintainer(cluster, row, call).await {
                Err(error) if error.kind == ApiErrorKind::NotFound => not_found = Some(error),
                reply => return Ok(reply?),
            }
        }
        let row = self.find_row(membership, call).await;
        match (row.map_err(Failure::before_the_write)?, not_found) {
            (Some(row), _) if shown != Some(row) => Ok(client.remove_cluster_maintainer(cluster, row, call).await?),
            (_, Some(not_found)) => Err(not_found.into()),
            (_, None) => Err(Failure {
                class: FailureClass::NotFound,
                scope: None,
                error: GovernanceError::Unexpected {
                    endpoint: Endpoint::RemoveClusterMaintainer.name(),
                    what: format!("{} no longer maintains the cluster", membership.principal),
                },
            }),
        }
    }

    fn lock_rows(&self) -> MutexGuard<'_, HashMap<Membership, MaintainerId>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
