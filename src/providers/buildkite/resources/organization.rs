//! The organization: one resource, whose levels are the roles of its people.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use uuid::Uuid;

use super::people::{People, Person};
use super::rows::complete;
use super::users::user_id;
use super::write_reply::{EchoedRow, write_reply};
use crate::governance::model::{
    Holding, Level, Membership, ProfileValue, Resource, ResourceId, ResourceKind, ResourceTypeInfo,
};
use crate::governance::provider::{
    Amount, Assignable, Batch, Cursor, EmptyReading, Failure, FailureClass, Labels, ListStage, ResourceType, Rows,
    WriteReply,
};
use crate::governance::provisioning::{GuardLock, MaintainerRevoke, Write};
use crate::governance::{CallContext, Change, GovernanceError, PageTokenError};
use crate::providers::buildkite::{ApiErrorKind, Buildkite, Endpoint, Organization, UserId};

/// The organization, with the levels `member` and `admin`.
pub static ORGANIZATION: ResourceTypeInfo = ResourceTypeInfo {
    id: "organization",
    display_name: "Organization",
    description: "The Buildkite organization: each of its people has one role in it",
    kind: ResourceKind::Object,
    levels: &LEVELS,
    change: Some(Change::OrganizationRoles),
    lifecycle: &[],
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
        Some(self)
    }

    fn invalidate(&self, _: ResourceId) {
        self.people.invalidate();
    }
}

fn holding(person: Person) -> Holding {
    Holding {
        principal: user_id(person.id),
        name: person.name,
        level: level(person.role.as_deref()),
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

#[async_trait]
impl Assignable for Organizations {
    async fn read_level(&self, membership: Membership, call: &CallContext) -> Result<Option<&'static Level>, Failure> {
        let unexpected = |what| {
            Err(Failure::from(GovernanceError::Unexpected {
                endpoint: Endpoint::OrganizationMember.name(),
                what,
            }))
        };
        // The path of a member names the configured organization, so the requested one has to be it.
        self.check_id(membership.resource.id, call).await?;
        let user = membership.principal.id.into();
        match self.buildkite.client.organization_member(user, call).await {
            Ok(member) if member.id != user => unexpected("the response is the record of another user".to_owned()),
            Ok(member) => match level(member.role.as_deref()) {
                Some(level) => Ok(Some(level)),
                None => unexpected(format!(
                    "the user holds the role `{}`, which the connector does not know and does not change",
                    member.role.unwrap_or_default()
                )),
            },
            Err(error) if error.kind == ApiErrorKind::NotFound => {
                if self.buildkite.members_are_visible(user, call).await? {
                    Ok(None)
                } else {
                    Err(error.into())
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn write(&self, membership: Membership, write: Write, call: &CallContext) -> Result<WriteReply, Failure> {
        let Some(level) = write.resulting_level() else {
            return Err(Failure::from(removal_error(&membership.principal.to_string())));
        };
        let user = membership.principal.id.into();
        let echo = self
            .buildkite
            .client
            .change_organization_member(user, level.slug, call)
            .await?;
        let shown = echo.as_ref().filter(|member| member.id == user);
        let shown = shown.map(|member| EchoedRow {
            level: self::level(member.role.as_deref()),
            created_at: None,
        });
        Ok(write_reply(write, shown))
    }

    fn endpoint(&self, _: Write) -> &'static str {
        Endpoint::ChangeOrganizationMember.name()
    }

    /// An admin whose role is revoked stays a member: the account itself is not taken away by a change of roles.
    fn replacement(&self, revoked: &'static Level, _: MaintainerRevoke) -> Option<&'static Level> {
        ORGANIZATION.level_below(revoked)
    }

    /// Rejects what is no change of a role, a change of the role of the token's owner, and the removal of the last admin.
    async fn guard(
        &self,
        membership: Membership,
        write: Write,
        labels: &Labels,
        _: &mut GuardLock,
        call: &CallContext,
    ) -> Result<(), GovernanceError> {
        let user = membership.principal.id.into();
        let from = match write {
            Write::Change { from, .. } => from,
            Write::Add(_) => {
                return Err(GovernanceError::UserNotInOrganization {
                    user: labels.principal.clone(),
                });
            }
            Write::Remove(_) => return Err(removal_error(&labels.principal)),
        };
        if self.buildkite.is_token_owner(user, call).await? {
            return Err(GovernanceError::Protected {
                guard: format!(
                    "{} owns the connector's token, and the connector never changes the role of its own user: change it in buildkite itself",
                    labels.principal
                ),
            });
        }
        if from == ORGANIZATION_ADMIN && !self.has_another_admin(user, call).await? {
            return Err(GovernanceError::Protected {
                guard: format!(
                    "{} is the last admin of {}: make somebody else an admin first",
                    labels.principal, labels.resource
                ),
            });
        }
        Ok(())
    }
}

impl Organizations {
    /// Succeeds if the id is that of the configured organization.
    async fn check_id(&self, id: Uuid, call: &CallContext) -> Result<(), Failure> {
        if self.id.get() == Some(&id) {
            return Ok(());
        }
        self.get(id, call).await.map(drop)
    }

    /// Whether a complete list of people that is read now shows an admin other than `user`.
    async fn has_another_admin(&self, user: UserId, call: &CallContext) -> Result<bool, GovernanceError> {
        let people = self.people.anew(&self.buildkite, &call.uncoalesced()).await?;
        let mut others = people.rows().iter().filter(|person| person.id != user);
        Ok(others.any(|person| level(person.role.as_deref()) == Some(ORGANIZATION_ADMIN)))
    }
}

/// The level of a role as Buildkite wrote it; `None` if it is missing or unknown.
fn level(role: Option<&str>) -> Option<&'static Level> {
    role.and_then(|role| ORGANIZATION.level(role))
}

/// The error for revoking the membership of the organization.
fn removal_error(user: &str) -> GovernanceError {
    GovernanceError::Protected {
        guard: format!(
            "everybody in the organization is at least a member, so this would remove {user} from it: delete the account to take it away"
        ),
    }
}
