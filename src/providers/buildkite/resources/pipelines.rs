//! Pipelines: teams hold one of three levels of access.

use async_trait::async_trait;
use serde_json::Value;
use uuid::Uuid;

use super::objects::{ObjectRow, Objects};
use super::pages::page;
use super::rows::texts;
use super::team_access::{TeamAccess, TeamObject};
use crate::governance::model::{Level, ProfileValue, Resource, ResourceId, ResourceKind, ResourceTypeInfo};
use crate::governance::provider::{Assignable, CarriedGrants};
use crate::governance::provisioning::Write;
use crate::governance::{CallContext, Change};
use crate::providers::buildkite::api::access::{AccessRequest, TeamPipeline};
use crate::providers::buildkite::pagination;
use crate::providers::buildkite::{ApiError, Client, Endpoint, ObjectSlug, Pipeline, TeamId, timestamp};

/// Pipelines, with the levels `read_only`, `build_and_read` and `manage_build_and_read`.
pub static PIPELINE: ResourceTypeInfo = ResourceTypeInfo {
    id: "pipeline",
    display_name: "Pipeline",
    description: "A Buildkite pipeline: the people of a team have the access that the team has",
    kind: ResourceKind::Object,
    levels: &LEVELS,
    change: Some(Change::Access),
    lifecycle: &[],
    principal_kinds: &[ResourceKind::Group],
    principal_rule: "access to a pipeline is carried by teams: give a `team`, or a role in a team that has the access",
    list_name: "pipelines",
    grants_endpoint: "team pipelines",
    read_scopes: &["read_pipelines"],
    write_scopes: &["write_teams"],
    absence: "no longer exists",
    not_found_reason: "RESOURCE_NOT_FOUND",
    unreachable_reason: "RESOURCE_UNREACHABLE",
    unavailable_reason: "RESOURCES_UNAVAILABLE",
    unavailable_remedy: "check that the token's owner may see pipelines, or leave pipeline out of --include",
};

static LEVELS: [Level; 3] = [
    Level {
        slug: "read_only",
        display_name: "Read Only",
        order: 1,
        describe: |pipeline| format!("Can see the builds of the Buildkite pipeline {pipeline}"),
    },
    Level {
        slug: "build_and_read",
        display_name: "Build & Read",
        order: 2,
        describe: |pipeline| format!("Can see and start the builds of the Buildkite pipeline {pipeline}"),
    },
    Level {
        slug: "manage_build_and_read",
        display_name: "Full Access",
        order: 3,
        describe: |pipeline| {
            format!("Can see and start the builds of the Buildkite pipeline {pipeline}, and change its settings")
        },
    },
];

/// Permits changing the settings of a pipeline, and which teams have access to it.
static PIPELINE_MANAGE: &Level = &LEVELS[2];

/// The pipelines of one organization.
pub(in crate::providers::buildkite) type Pipelines = Objects<Pipeline>;

#[async_trait]
impl ObjectRow for Pipeline {
    const INFO: &'static ResourceTypeInfo = &PIPELINE;
    const LIST: Endpoint = Endpoint::Pipelines;

    async fn read(
        client: &Client,
        from: pagination::Cursor,
        min_rows: usize,
        call: &CallContext,
    ) -> Result<pagination::Batch<Self>, ApiError> {
        client.pipelines(from, min_rows, call).await
    }

    async fn read_one(client: &Client, slug: ObjectSlug, call: &CallContext) -> Result<Self, ApiError> {
        client.pipeline(slug, call).await
    }

    fn slug(&self) -> Option<&str> {
        self.slug.as_deref()
    }

    fn carried(pipelines: &Pipelines) -> Option<&dyn CarriedGrants> {
        Some(pipelines)
    }

    fn resource(self, organization: &str) -> Resource {
        let texts = texts([
            ("slug", self.slug.clone()),
            ("description", self.description.clone()),
            ("visibility", self.visibility),
            ("default_branch", self.default_branch),
            ("repository", self.repository.map(|repository| repository.to_string())),
        ]);
        let archived = ("archived", ProfileValue::Bool(self.archived_at.is_some()));
        Resource {
            page: self.slug.as_deref().and_then(|slug| page(&[organization, slug])),
            profile: texts.chain([archived]).collect(),
            handle: self.slug,
            description: self.description,
            created_at: self.created_at.as_deref().and_then(timestamp),
            ..Resource::named(
                ResourceId {
                    resource_type: &PIPELINE,
                    id: self.id.uuid(),
                },
                self.name,
            )
        }
    }

    fn assignable(pipelines: &Pipelines) -> Option<&dyn Assignable> {
        Some(pipelines)
    }
}

impl TeamObject for Pipeline {
    type Access = TeamPipeline;

    const READ_ACCESS: Endpoint = Endpoint::TeamPipeline;
    const ID_FIELD: &'static str = "pipeline_id";

    fn managing_level() -> &'static Level {
        PIPELINE_MANAGE
    }

    fn read_request(team: TeamId, object: Uuid) -> AccessRequest {
        AccessRequest::TeamPipeline(team, object.into())
    }

    fn write_request(team: TeamId, object: Uuid, write: Write) -> AccessRequest {
        match write {
            Write::Add(_) => AccessRequest::AddTeamPipeline(team),
            Write::Change { .. } => AccessRequest::ChangeTeamPipeline(team, object.into()),
            Write::Remove(_) => AccessRequest::RemoveTeamPipeline(team, object.into()),
        }
    }

    fn access_level(level: &'static Level) -> Value {
        level.slug.into()
    }

    fn shown(row: TeamPipeline) -> TeamAccess {
        TeamAccess {
            object: row.pipeline_id.uuid(),
            level: row.access_level.as_deref().and_then(|slug| PIPELINE.level(slug)),
            named: row.access_level.unwrap_or_default(),
            created_at: row.created_at,
        }
    }
}
