//! Package registries: their list names the teams that have access, without a level. REST cannot change it.

use async_trait::async_trait;
use uuid::Uuid;

use super::objects::{ObjectRow, Objects};
use super::pages::organization_page;
use super::rows::{complete, texts};
use super::teams::team_id;
use crate::governance::model::{Holding, Level, ProfileValue, Resource, ResourceId, ResourceKind, ResourceTypeInfo};
use crate::governance::provider::{Batch, Cursor, Failure};
use crate::governance::{CallContext, GovernanceError};
use crate::providers::buildkite::pagination::{self, Row};
use crate::providers::buildkite::{ApiError, Client, Endpoint, ObjectSlug, Registry, TeamId};

/// Registries, with the level `access`.
pub static REGISTRY: ResourceTypeInfo = ResourceTypeInfo {
    id: "registry",
    display_name: "Package Registry",
    description: "A Buildkite package registry: the people of a team have the access that the team has",
    kind: ResourceKind::Object,
    levels: &LEVELS,
    change: None,
    lifecycle: &[],
    principal_kinds: &[ResourceKind::Group],
    principal_rule: "access to a registry is carried by teams, and is changed in Buildkite",
    list_name: "registries",
    grants_endpoint: "registries",
    read_scopes: &["read_registries"],
    write_scopes: &[],
    absence: "no longer exists",
    not_found_reason: "RESOURCE_NOT_FOUND",
    unreachable_reason: "RESOURCE_UNREACHABLE",
    unavailable_reason: "RESOURCES_UNAVAILABLE",
    unavailable_remedy: "check that the organization uses Package Registries, or leave registry out of --include",
};

static LEVELS: [Level; 1] = [Level {
    slug: "access",
    display_name: "Access",
    order: 1,
    describe: |registry| {
        format!("Has access to the Buildkite package registry {registry}; Buildkite's REST API does not show how much")
    },
}];

static ACCESS: &Level = &LEVELS[0];

/// The registries of one organization.
pub(in crate::providers::buildkite) type Registries = Objects<Registry>;

/// A team that has access to a registry.
#[derive(Debug)]
struct RegistryTeam(TeamId);

impl Row for RegistryTeam {
    fn id(&self) -> Uuid {
        self.0.uuid()
    }

    fn created_at(&self) -> Option<&str> {
        None
    }
}

#[async_trait]
impl ObjectRow for Registry {
    const INFO: &'static ResourceTypeInfo = &REGISTRY;
    const LIST: Endpoint = Endpoint::Registries;
    const LISTS_PRINCIPALS: bool = true;

    async fn read(
        client: &Client,
        from: pagination::Cursor,
        min_rows: usize,
        call: &CallContext,
    ) -> Result<pagination::Batch<Self>, ApiError> {
        client.registries(from, min_rows, call).await
    }

    async fn read_one(client: &Client, slug: ObjectSlug, call: &CallContext) -> Result<Self, ApiError> {
        client.registry(slug, call).await
    }

    fn slug(&self) -> Option<&str> {
        self.slug.as_deref()
    }

    fn resource(self, organization: &str) -> Resource {
        let texts = texts([("slug", self.slug.clone()), ("ecosystem", self.ecosystem)]);
        let public = self.public.map(|public| ("public", ProfileValue::Bool(public)));
        let slug = self.slug.as_deref();
        Resource {
            page: slug.and_then(|slug| organization_page(organization, &["packages", "registries", slug])),
            profile: texts.chain(public).collect(),
            handle: self.slug,
            ..Resource::named(
                ResourceId {
                    resource_type: &REGISTRY,
                    id: self.id.uuid(),
                },
                self.name,
            )
        }
    }

    /// The teams of the registry's row.
    async fn grants(
        registries: &Objects<Self>,
        id: Uuid,
        from: Option<Cursor>,
        call: &CallContext,
    ) -> Result<Box<dyn Batch<Holding>>, Failure> {
        let registry = registries.row(id, call).await?;
        let Some(teams) = registry.team_ids else {
            return Err(Failure::from(GovernanceError::Unexpected {
                endpoint: Endpoint::Registries.name(),
                what: format!("the row of registry {id} does not list its teams"),
            }));
        };
        let teams = teams.into_iter().map(RegistryTeam).collect();
        complete(teams, from, |RegistryTeam(team)| Holding {
            principal: team_id(team),
            name: None,
            level: Some(ACCESS),
        })
    }
}
