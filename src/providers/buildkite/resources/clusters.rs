//! Clusters: people and teams maintain them.

use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;

use super::rows::{converted, min_rows, position, texts};
use super::teams::team_id;
use super::users::user_id;
use crate::governance::model::{Holding, Level, Resource, ResourceId, ResourceKind, ResourceTypeInfo};
use crate::governance::provider::{Amount, Assignable, Batch, Cursor, EmptyReading, Failure, ListStage, ResourceType};
use crate::governance::{CallContext, Change, GovernanceError};
use crate::providers::buildkite::{Buildkite, Cluster, ClusterMaintainer, Endpoint, timestamp};

/// Clusters, with the level `maintainer`.
pub static CLUSTER: ResourceTypeInfo = ResourceTypeInfo {
    id: "cluster",
    display_name: "Cluster",
    description: "A Buildkite cluster: its maintainers manage its queues, its agent tokens and its pipelines",
    kind: ResourceKind::Object,
    levels: &LEVELS,
    change: Some(Change::Access),
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
}

impl Clusters {
    pub(super) fn new(buildkite: Arc<Buildkite>) -> Self {
        Self { buildkite }
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
        None
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
    let actor = maintainer.actor;
    let principal = actor.as_ref().and_then(|actor| match actor.kind.as_deref() {
        Some("user") => Some(user_id(actor.id.into())),
        Some("team") => Some(team_id(actor.id.into())),
        _ => None,
    });
    Holding {
        principal: principal.unwrap_or_else(|| cluster_id(maintainer.id.uuid())),
        name: actor.and_then(|actor| actor.name.or(actor.slug)),
        level: principal.map(|_| CLUSTER_MAINTAINER),
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
