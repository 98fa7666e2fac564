//! Test suites: teams hold one of two levels of access.

use async_trait::async_trait;
use uuid::Uuid;

use super::objects::{ObjectRow, Objects};
use super::pages::organization_page;
use super::team_access::{TeamAccess, TeamObject};
use crate::governance::model::{Level, ProfileValue, Resource, ResourceId, ResourceKind, ResourceTypeInfo};
use crate::governance::provider::{Assignable, CarriedGrants};
use crate::governance::provisioning::Write;
use crate::governance::{CallContext, Change};
use crate::providers::buildkite::api::access::{SuitePath, TeamSuite};
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
        let texts = [("slug", self.slug.clone()), ("default_branch", self.default_branch)];
        let profile = texts
            .into_iter()
            .filter_map(|(field, value)| Some((field, ProfileValue::Text(value?))));
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
    const READ_ACCESS: Endpoint = Endpoint::TeamSuite;

    fn managing_level() -> &'static Level {
        SUITE_EDIT
    }

    async fn access(
        objects: &Objects<Self>,
        team: TeamId,
        object: Uuid,
        call: &CallContext,
    ) -> Result<TeamAccess, ApiError> {
        let client = &objects.buildkite().client;
        client.team_suite(team, object.into(), call).await.map(access)
    }

    async fn write_access(
        objects: &Objects<Self>,
        team: TeamId,
        object: Uuid,
        write: Write,
        call: &CallContext,
    ) -> Result<Option<TeamAccess>, ApiError> {
        let (client, suite) = (&objects.buildkite().client, object.into());
        let echo = match write {
            Write::Add(level) => add(objects, team, object, permissions(level), call).await?,
            Write::Change { to, .. } => client.change_team_suite(team, suite, permissions(to), call).await?,
            Write::Remove(_) => {
                client.remove_team_suite(team, suite, call).await?;
                None
            }
        };
        Ok(echo.map(access))
    }

    fn write_endpoint(write: Write) -> Endpoint {
        match write {
            Write::Add(_) => Endpoint::AddTeamSuite,
            Write::Change { .. } => Endpoint::ChangeTeamSuite,
            Write::Remove(_) => Endpoint::RemoveTeamSuite,
        }
    }
}

/// Gives a team a suite. If the documented path does not exist although the team and the suite do, the path is sent that a client of
/// Buildkite's uses, once.
async fn add(
    objects: &Objects<Suite>,
    team: TeamId,
    suite: Uuid,
    permissions: &[&str],
    call: &CallContext,
) -> Result<Option<TeamSuite>, ApiError> {
    let client = &objects.buildkite().client;
    let send = |path| client.add_team_suite(team, suite.into(), permissions, path, call);
    match send(SuitePath::Documented).await {
        Err(error) if error.kind == ApiErrorKind::NotFound => {
            if client.team(team, call).await.is_ok() && objects.row(suite, call).await.is_ok() {
                send(SuitePath::Singular).await
            } else {
                Err(error)
            }
        }
        sent => sent,
    }
}

/// The permissions that make up a level.
fn permissions(level: &Level) -> &'static [&'static str] {
    if level == SUITE_EDIT {
        &["read", "edit"]
    } else {
        &["read"]
    }
}

/// What a row shows.
pub(super) fn access(row: TeamSuite) -> TeamAccess {
    let holds = |level: &Level| row.access_level.iter().any(|permission| permission == level.slug);
    TeamAccess {
        object: row.suite_id.uuid(),
        level: [SUITE_EDIT, SUITE_READ].into_iter().find(|level| holds(level)),
        named: row.access_level.join(", "),
        created_at: row.created_at,
    }
}
