//! Decides whether a 404 proves absence.
//!
//! Buildkite responds with 404 for a resource that is absent, hidden, disabled or out of the token's reach, so a 404 alone proves
//! nothing. A team is absent only if a fresh, complete list of teams lacks it, and if the token's owner is an organization admin
//! before and after that list. A cluster or a pending invitation is absent if such a list lacks it, whoever reads it. A user is
//! outside the organization only if other members are readable.

use std::time::Duration;

use uuid::Uuid;

use super::resources::Teams;
use super::{ApiError, ApiErrorKind, Buildkite, Endpoint, UserId};
use crate::governance::model::ResourceId;
use crate::governance::provider::{Failure, FailureClass, OwnerRole, ResourceType};
use crate::governance::{CallContext, GovernanceError, sync};

impl Teams {
    /// Whether the team is proven absent.
    ///
    /// # Errors
    /// The failure to read the owner's role or the list.
    pub(super) async fn is_gone(&self, team: Uuid, call: &CallContext) -> Result<bool, GovernanceError> {
        let buildkite = self.buildkite();
        let call = &call.uncoalesced();
        // Request the status again: a list proves nothing if the token or the organization fails, or if the owner is not an admin.
        let status = buildkite.credential_status(Duration::ZERO, call).await?;
        if status.owner_role != OwnerRole::Admin {
            return Ok(false);
        }
        let list_call = call.clone().with_concurrency(buildkite.list_concurrency);
        let teams = sync::complete_list(self, &buildkite.list_history, &list_call).await?;
        if teams.iter().any(|listed| listed.id.id == team) {
            return Ok(false);
        }
        // Read the role again after the last window of the list: a demotion during the list hides teams from it.
        Ok(buildkite.fetch_owner_role(call).await? == OwnerRole::Admin)
    }
}

impl Buildkite {
    /// Explains the failure of a request for a resource whose type's list is shown to everyone completely: after a 404, the resource
    /// is absent if a fresh list, which `list` returns, lacks it.
    pub(super) async fn explain_by_list(
        &self,
        resources: &dyn ResourceType,
        list: Endpoint,
        failure: Failure,
        resource: Option<Uuid>,
        call: &CallContext,
    ) -> GovernanceError {
        let id = match (failure.class, resource) {
            (FailureClass::NotFound, Some(id)) => id,
            (FailureClass::NotFound, None) => return self.explain_missing_list(list, call).await,
            _ => return self.explain(failure, call).await,
        };
        let call = call.uncoalesced().with_concurrency(self.list_concurrency);
        let resource = ResourceId {
            resource_type: resources.info(),
            id,
        };
        match sync::complete_list(resources, &self.list_history, &call).await {
            Ok(listed) if listed.iter().any(|listed| listed.id == resource) => {
                GovernanceError::ResourceUnreachable { resource }
            }
            Ok(_) => GovernanceError::ResourceNotFound { resource },
            Err(error) => error,
        }
    }

    /// Whether a user's 404 can be trusted: a record that must exist is visible under the same path. That is the record of the
    /// token's owner, or any record if the owner is not known or is the user in question.
    ///
    /// # Errors
    /// The failure to read that record.
    pub(super) async fn members_are_visible(&self, user: UserId, call: &CallContext) -> Result<bool, GovernanceError> {
        let position = self.client.responsible(call);
        let owner = match self.owner_of(position) {
            Some(owner) => Some(owner),
            None => self.client.as_credential(position).user(call).await.ok(),
        };
        let shown = match owner.filter(|owner| owner.id != user) {
            Some(owner) => self.client.organization_member(owner.id, call).await.map(|_| true),
            None => self
                .client
                .organization_members(super::pagination::Cursor::Start, 1, call)
                .await
                .map(|people| !people.rows.is_empty()),
        };
        match shown {
            Ok(shown) => Ok(shown),
            Err(ApiError {
                kind: ApiErrorKind::NotFound,
                endpoint: Endpoint::OrganizationMember,
                ..
            }) => Ok(false),
            Err(
                error @ ApiError {
                    kind: ApiErrorKind::NotFound,
                    ..
                },
            ) => Err(self.explain_missing_list(error.endpoint, call).await),
            Err(error) => Err(self.explain(error.into(), call).await),
        }
    }
}
