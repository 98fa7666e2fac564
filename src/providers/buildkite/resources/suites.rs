//! Test suites: teams hold one of two levels of access.

use async_trait::async_trait;
use serde_json::{Value, json};
use uuid::Uuid;

use super::objects::{ObjectRow, Objects};
use super::pages::organization_page;
use super::rows::texts;
use super::team_access::{TeamAccess, TeamObject, send_request};
use crate::governance::model::{Level, Resource, ResourceId, ResourceKind, ResourceTypeInfo};
use crate::governance::provider::{Assignable, CarriedGrants};
use crate::governance::provisioning::Write;
use crate::governance::{CallContext, Change};
use crate::providers::buildkite::api::access::{AccessRequest, SuitePath, TeamSuite};
use crate::providers::buildkite::pagination;
use crate::providers::buildkite::{ApiError, ApiErrorKind, Client, Endpoint, ObjectSlug, Suite, TeamId, timestamp};

/// Suites, with the levels `read` and `edit`.
pub static SUITE: ResourceTypeInfo = ResourceTypeInfo {
    id: "suite",
    display_name: "Test Suite",
    description: "A Buildkite test suite: the people of a team have the access that the team has",
    kind: ResourceKind::Object,
    levels: &LEVELS,
    change: Some(Change::Access),
    lifecycle: &[],
    principal_kinds: &[ResourceKind::Group],
    principal_rule: "access to a suite is carried by teams: give a `team`, or a role in a team that has the access",
    list_name: "suites",
    grants_endpoint: "team suites",
    read_scopes: &["read_suites"],
    write_scopes: &["write_teams"],
    absence: "no longer exists",
    not_found_reason: "RESOURCE_NOT_FOUND",
    unreachable_reason: "RESOURCE_UNREACHABLE",
    unavailable_reason: "RESOURCES_UNAVAILABLE",
    unavailable_remedy: "check that the organization uses Test Engine, or leave suite out of --include",
};

static LEVELS: [Level; 2] = [
    Level {
        slug: "read",
        display_name: "Read",
        order: 1,
        describe: |suite| format!("Can see the results of the Buildkite test suite {suite}"),
    },
    Level {
        slug: "edit",
        display_name: "Edit",
        order: 2,
        describe: |suite| format!("Can see the results of the Buildkite test suite {suite}, and change its settings"),
    },
];

/// Permits seeing the results of a suite.
static SUITE_READ: &Level = &LEVELS[0];

/// Permits changing the settings of a suite, and which teams have access to it.
static SUITE_EDIT: &Level = &LEVELS[1];

/// The test suites of one organization.
pub(in crate::providers::buildkite) type Suites = Objects<Suite>;

#[async_trait]
impl ObjectRow for Suite {
    const INFO: &'static ResourceTypeInfo = &SUITE;
    const LIST: Endpoint = Endpoint::Suites;

    async fn read(
        client: &Client,
        from: pagination::Cursor,
        min_rows: usize,
        call: &CallContext,
    ) -> Result<pagination::Batch<Self>, ApiError> {
        client.suites(from, min_rows, call).await
    }

    async fn read_one(client: &Client, slug: ObjectSlug, call: &CallContext) -> Result<Self, ApiError> {
        client.suite(slug, call).await
    }

    fn slug(&self) -> Option<&str> {
        self.slug.as_deref()
    }

    fn carried(suites: &Suites) -> Option<&dyn CarriedGrants> {
        Some(suites)
    }

    fn resource(self, organization: &str) -> Resource {
        let profile = texts([("slug", self.slug.clone()), ("default_branch", self.default_branch)]);
        let slug = self.slug.as_deref();
        Resource {
            page: slug.and_then(|slug| organization_page(organization, &["analytics", "suites", slug])),
            profile: profile.collect(),
            handle: self.slug,
            created_at: self.created_at.as_deref().and_then(timestamp),
            ..Resource::named(
                ResourceId {
                    resource_type: &SUITE,
                    id: self.id.uuid(),
                },
                self.name,
            )
        }
    }

    fn assignable(suites: &Suites) -> Option<&dyn Assignable> {
        Some(suites)
    }
}

#[async_trait]
impl TeamObject for Suite {
    type Access = TeamSuite;

    const READ_ACCESS: Endpoint = Endpoint::TeamSuite;
    const ID_FIELD: &'static str = "suite_id";

    fn managing_level() -> &'static Level {
        SUITE_EDIT
    }

    fn read_request(team: TeamId, object: Uuid) -> AccessRequest {
        AccessRequest::TeamSuite(team, object.into())
    }

    fn write_request(team: TeamId, object: Uuid, write: Write) -> AccessRequest {
        match write {
            Write::Add(_) => AccessRequest::AddTeamSuite(team, SuitePath::Documented),
            Write::Change { .. } => AccessRequest::ChangeTeamSuite(team, object.into()),
            Write::Remove(_) => AccessRequest::RemoveTeamSuite(team, object.into()),
        }
    }

    /// The permissions that make up the level.
    fn access_level(level: &'static Level) -> Value {
        if level == SUITE_EDIT {
            json!(["read", "edit"])
        } else {
            json!(["read"])
        }
    }

    fn shown(row: TeamSuite) -> TeamAccess {
        let holds = |level: &Level| row.access_level.iter().any(|permission| permission == level.slug);
        TeamAccess {
            object: row.suite_id.uuid(),
            level: [SUITE_EDIT, SUITE_READ].into_iter().find(|level| holds(level)),
            named: row.access_level.join(", "),
            created_at: row.created_at,
        }
    }

    /// If the documented path of a POST does not exist although the team and the suite do, the path is sent that a client of
    /// Buildkite's uses, once.
    async fn send(
        objects: &Objects<Self>,
        team: TeamId,
        suite: Uuid,
        write: Write,
        call: &CallContext,
    ) -> Result<Option<TeamSuite>, ApiError> {
        let client = &objects.buildkite().client;
        let send = |request| send_request(objects, request, suite, write, call);
        match send(Self::write_request(team, suite, write)).await {
            Err(error) if error.kind == ApiErrorKind::NotFound && matches!(write, Write::Add(_)) => {
                if client.team(team, call).await.is_ok() && objects.row(suite, call).await.is_ok() {
                    send(AccessRequest::AddTeamSuite(team, SuitePath::Singular)).await
                } else {
                    Err(error)
                }
            }
            reply => reply,
        }
    }
}
