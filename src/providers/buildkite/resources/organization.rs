//! The organization: one resource, whose levels are the roles of its people.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use uuid::Uuid;

use super::people::{People, Person};
use super::rows::complete;
use super::users::user_id;
use crate::governance::model::{
    Holding, Level, ProfileValue, Resource, ResourceId, ResourceKind, ResourceTypeInfo,
};
use crate::governance::provider::{
    Amount, Assignable, Batch, Cursor, EmptyReading, Failure, FailureClass, ListStage, ResourceType, Rows,
};
use crate::governance::{CallContext, Change, GovernanceError, PageTokenError};
use crate::providers::buildkite::{Buildkite, Endpoint, Organization};

/// The organization, with the levels `member` and `admin`.
pub static ORGANIZATION: ResourceTypeInfo = ResourceTypeInfo {
    id: "organization",
    display_name: "Organization",
    description: "The Buildkite organization: each of its people has one role in it",
    kind: ResourceKind::Object,
    levels: &LEVELS,
    change: Some(Change::OrganizationRoles),
    principal_kinds: &[ResourceKind::User],
    principal_rule: "only a `user` can hold a role in the organization",
    list_name: "organizations",
    grants_endpoint: "organization members",
    read_scopes: &["read_organizations"],
    write_scopes: &["write_organizations"],
    absence: "is not the organization of this connector",
    not_found_reason: "RESOURCE_NOT_FOUND",
    unreachable_reason: "RESOURCE_UNREACHABLE",
    unavailable_reason: "RESOURCES_UNAVAILABLE",
    unavailable_remedy: "check that the token's owner may see the organization's people",
};

static LEVELS: [Level; 2] = [
    Level {
        slug: "member",
        display_name: "Member",
        order: 1,
        describe: |organization| format!("Is in the Buildkite organization {organization}"),
    },
    Level {
        slug: "admin",
        display_name: "Admin",
        order: 2,
        describe: |organization| {
            format!("Manages the Buildkite organization {organization}: its people, teams, settings and all access")
        },
    },
];

/// Is in the organization.
pub static ORGANIZATION_MEMBER: &Level = &LEVELS[0];

/// Manages the organization.
pub static ORGANIZATION_ADMIN: &Level = &LEVELS[1];

/// The one organization of a connection.
#[derive(Debug)]
pub(in crate::providers::buildkite) struct Organizations {
    buildkite: Arc<Buildkite>,
    people: Arc<People>,
    /// The organization's id, which never changes, once it was read.
    id: OnceLock<Uuid>,
}

impl Organizations {
    /// The organization of `buildkite`, whose `people` hold its levels.
    pub(super) fn new(buildkite: Arc<Buildkite>, people: Arc<People>) -> Self {
        Self {
            buildkite,
            people,
            id: OnceLock::new(),
        }
    }

    async fn read(&self, call: &CallContext) -> Result<Resource, Failure> {
        let organization = self.buildkite.client.organization(call).await?;
        let organization = resource(organization).ok_or_else(|| {
            Failure::from(GovernanceError::Unexpected {
                endpoint: Endpoint::Organization.name(),
                what: "the record of the organization has no id".to_owned(),
            })
        })?;
        let _ = self.id.set(organization.id.id);
        Ok(organization)
    }
}

#[async_trait]
impl ResourceType for Organizations {
    fn info(&self) -> &'static ResourceTypeInfo {
        &ORGANIZATION
    }

    async fn list(
        &self,
        from: Option<Cursor>,
        _: Amount,
        call: &CallContext,
    ) -> Result<Box<dyn Batch<Resource>>, Failure> {
        if from.is_some() {
            return Err(Failure::from(GovernanceError::from(PageTokenError)));
        }
        Ok(Box::new(Rows {
            rows: vec![self.read(call).await?],
            next: None,
        }))
    }

    async fn get(&self, id: Uuid, call: &CallContext) -> Result<Resource, Failure> {
        let organization = self.read(call).await?;
        if organization.id.id == id {
            return Ok(organization);
        }
        Err(Failure::from(GovernanceError::ResourceNotFound {
            resource: ResourceId {
                resource_type: &ORGANIZATION,
                id,
            },
        }))
    }

    /// Every person, by the role of the list of people.
    async fn grants(
        &self,
        id: Uuid,
        from: Option<Cursor>,
        _: Amount,
        call: &CallContext,
    ) -> Result<Box<dyn Batch<Holding>>, Failure> {
        if self.id.get() != Some(&id) {
            self.get(id, call).await?;
        }
        let people = self.people.recent(&self.buildkite, call).await?;
        complete(people.rows().to_vec(), from, holding)
    }

    async fn explain(&self, failure: Failure, _: Option<Uuid>, call: &CallContext) -> GovernanceError {
        match failure.class {
            FailureClass::NotFound => GovernanceError::OrganizationUnreachable {
                organization: self.buildkite.organization_slug().to_owned(),
            },
            _ => self.buildkite.explain(failure, call).await,
        }
    }

    async fn explain_unlisted(&self, name: &str, _: &CallContext) -> GovernanceError {
        GovernanceError::Invalid {
            field: "organization",
            problem: format!(
                "the organization of this connector is `{}`, not `{name}`",
                self.buildkite.organization_slug()
            ),
        }
    }

    async fn check_visibility(&self, _: ListStage, _: &CallContext) -> Result<(), GovernanceError> {
        Ok(())
    }

    /// The list is never empty.
    async fn check_empty(&self, _: EmptyReading, _: &CallContext) -> Result<(), GovernanceError> {
        Ok(())
    }

    fn assignable(&self) -> Option<&dyn Assignable> {
        None
    }
}

fn holding(person: Person) -> Holding {
    Holding {
        principal: user_id(person.id),
        name: person.name,
        level: match person.role.as_deref() {
            Some("member") => Some(ORGANIZATION_MEMBER),
            Some("admin") => Some(ORGANIZATION_ADMIN),
            _ => None,
        },
    }
}

/// The organization as a resource; `None` without an id.
fn resource(organization: Organization) -> Option<Resource> {
    let id = ResourceId {
        resource_type: &ORGANIZATION,
        id: organization.id?.uuid(),
    };
    Some(Resource {
        profile: vec![("slug", ProfileValue::Text(organization.slug.clone()))],
        handle: Some(organization.slug),
        ..Resource::named(id, organization.name)
    })
}
