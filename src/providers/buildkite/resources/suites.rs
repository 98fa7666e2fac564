//! Test suites: teams hold one of two levels of access.

use async_trait::async_trait;

use super::objects::{ObjectRow, Objects};
use super::pages::organization_page;
use super::rows::texts;
use crate::governance::model::{Level, Resource, ResourceId, ResourceKind, ResourceTypeInfo};
use crate::governance::{CallContext, Change};
use crate::providers::buildkite::pagination;
use crate::providers::buildkite::{ApiError, Client, Endpoint, ObjectSlug, Suite, timestamp};

/// Suites, with the levels `read` and `edit`.
pub static SUITE: ResourceTypeInfo = ResourceTypeInfo {
    id: "suite",
    display_name: "Test Suite",
    description: "A Buildkite test suite: the people of a team have the access that the team has",
    kind: ResourceKind::Object,
    levels: &LEVELS,
    change: Some(Change::Access),
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
}
