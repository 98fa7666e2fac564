//! Users, which are the members of the organization: principals that offer no levels.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::time::Instant;
use uuid::Uuid;

use super::invitations::Invitations;
use super::people::People;
use super::rows::{converted, min_rows, position};
use crate::governance::model::{
    Holding, LifecycleOffer, LifecycleOperation, ProfileValue, Resource, ResourceId, ResourceKind, ResourceTypeInfo,
};
use crate::governance::provider::{
    AccountManager, Amount, Assignable, Batch, Cursor, Deletable, EmptyReading, Failure, FailureClass, ListStage,
    ResourceType, Rows,
};
use crate::governance::{CallContext, Change, GovernanceError};
use crate::providers::buildkite::{Buildkite, Endpoint, OrganizationMember, UserId};

/// Users: they hold levels and offer none.
pub static USER: ResourceTypeInfo = ResourceTypeInfo {
    id: "user",
    display_name: "User",
    description: "A person in the Buildkite organization",
    kind: ResourceKind::User,
    levels: &[],
    principal_kinds: &[],
    principal_rule: "a user offers nothing that can be held",
    list_name: "people",
    grants_endpoint: "",
    read_scopes: &["read_organizations", "read_user"],
    write_scopes: &[],
    change: None,
    lifecycle: &[
        LifecycleOffer {
            operation: LifecycleOperation::Invite,
            change: Change::Invitations,
            scopes: &["read_organization_invitations", "write_organization_invitations"],
        },
        LifecycleOffer {
            operation: LifecycleOperation::Delete,
            change: Change::OffBoarding,
            scopes: &[
                "write_organizations",
                "read_organization_invitations",
                "write_organization_invitations",
            ],
        },
    ],
    absence: "is not in the organization",
    not_found_reason: "USER_NOT_FOUND",
    unreachable_reason: "USER_UNREACHABLE",
    unavailable_reason: "TEAMS_UNAVAILABLE",
    unavailable_remedy: "enable teams for it",
};

/// The field of a user's profile that names their role in the organization.
const ORGANIZATION_ROLE: &str = "organization_role";

/// The id of a user in the model.
pub(super) fn user_id(user: UserId) -> ResourceId {
    ResourceId {
        resource_type: &USER,
        id: user.uuid(),
    }
}

/// The members of one organization.
#[derive(Debug)]
pub(super) struct Users {
    pub(super) buildkite: Arc<Buildkite>,
    /// The pending invitations, whether or not they are a resource type that the operator included.
    pub(super) invitations: Invitations,
    /// Records the list, if the people's roles are governed.
    people: Option<Arc<People>>,
}

impl Users {
    pub(super) fn new(buildkite: Arc<Buildkite>, people: Option<Arc<People>>) -> Self {
        Self {
            invitations: Invitations::new(Arc::clone(&buildkite)),
            buildkite,
            people,
        }
    }
}

#[async_trait]
impl ResourceType for Users {
    fn info(&self) -> &'static ResourceTypeInfo {
        &USER
    }

    async fn list(
        &self,
        from: Option<Cursor>,
        amount: Amount,
        call: &CallContext,
    ) -> Result<Box<dyn Batch<Resource>>, Failure> {
        let (from, begun) = (position(from)?, Instant::now());
        let client = &self.buildkite.client;
        let batch = client
            .organization_members(from.clone(), min_rows(amount), call)
            .await?;
        if let Some(people) = &self.people {
            people.record(&from, begun, &batch);
        }
        Ok(converted(batch, resource))
    }

    async fn get(&self, id: Uuid, call: &CallContext) -> Result<Resource, Failure> {
        Ok(resource(
            self.buildkite.client.organization_member(id.into(), call).await?,
        ))
    }

    async fn grants(
        &self,
        _: Uuid,
        _: Option<Cursor>,
        _: Amount,
        _: &CallContext,
    ) -> Result<Box<dyn Batch<Holding>>, Failure> {
        Ok(Box::new(Rows::default()))
    }

    async fn explain(&self, failure: Failure, resource: Option<Uuid>, call: &CallContext) -> GovernanceError {
        match (failure.class, resource) {
            (FailureClass::NotFound, Some(id)) => match self.buildkite.members_are_visible(id.into(), call).await {
                Ok(true) => GovernanceError::ResourceNotFound {
                    resource: user_id(id.into()),
                },
                Ok(false) => GovernanceError::ListUnavailable {
                    resource_type: &USER,
                    endpoint: Endpoint::OrganizationMember.name(),
                },
                Err(error) => error,
            },
            (FailureClass::NotFound, None) => {
                self.buildkite
                    .explain_missing_list(Endpoint::OrganizationMembers, call)
                    .await
            }
            _ => self.buildkite.explain(failure, call).await,
        }
    }

    async fn explain_unlisted(&self, name: &str, _: &CallContext) -> GovernanceError {
        GovernanceError::UserNotInOrganization { user: name.to_owned() }
    }

    async fn check_visibility(&self, _: ListStage, _: &CallContext) -> Result<(), GovernanceError> {
        Ok(())
    }

    /// Rejects every empty list, because the token's owner is a user.
    async fn check_empty(&self, _: EmptyReading, call: &CallContext) -> Result<(), GovernanceError> {
        self.buildkite.reject_empty_user_list(call).await
    }

    fn assignable(&self) -> Option<&dyn Assignable> {
        None
    }

    fn accounts(&self) -> Option<&dyn AccountManager> {
        Some(self)
    }

    fn deletable(&self) -> Option<&dyn Deletable> {
        Some(self)
    }
}

/// Whether the user is shown as an admin of the organization.
pub(super) fn is_admin(user: &Resource) -> bool {
    user.profile_text(ORGANIZATION_ROLE) == Some("admin")
}

fn resource(member: OrganizationMember) -> Resource {
    let OrganizationMember {
        id,
        name,
        email,
        role,
        sso_mode,
    } = member;
    let known = [(ORGANIZATION_ROLE, role), ("sso_mode", sso_mode)];
    Resource {
        handle: email,
        profile: known
            .into_iter()
            .filter_map(|(field, value)| Some((field, ProfileValue::Text(value?))))
            .collect(),
        ..Resource::named(user_id(id), name)
    }
}
