//! Checks empty lists.
//!
//! The list of users is never empty, because the token's owner is one of them. Any other empty list is read twice, and a resource
//! that this process saw in it earlier is requested by itself.

use std::time::Duration;

use super::credential_status::EVIDENCE_MAX_AGE;
use super::{Buildkite, Endpoint};
use crate::governance::provider::{EmptyReading, Failure, FailureClass, ResourceType};
use crate::governance::{CallContext, GovernanceError};

impl Buildkite {
    /// Succeeds if the token and the organization were seen to work within `max_age`, or work now.
    ///
    /// # Errors
    /// The failure to read the token or the organization.
    pub(super) async fn confirm_works(&self, max_age: Duration, call: &CallContext) -> Result<(), GovernanceError> {
        self.credential_status(max_age, call).await.map(drop)
    }

    /// Rejects an empty list of users: the token's owner is one of them.
    ///
    /// # Errors
    /// Always: the failure to read the token or the organization, which may be the cause of the empty list, else `Unexpected`.
    pub(super) async fn reject_empty_user_list(&self, call: &CallContext) -> Result<(), GovernanceError> {
        self.confirm_works(EVIDENCE_MAX_AGE, call).await?;
        Err(GovernanceError::Unexpected {
            endpoint: Endpoint::OrganizationMembers.name(),
            what: "an empty list, although the token's owner is in the organization".to_owned(),
        })
    }

    /// Checks an empty list of `resources`, which `endpoint` returned.
    ///
    /// # Errors
    /// After the first reading, the failure to read the token or the organization; after the second, `Unexpected` if a resource that
    /// was listed before responds, or the failure to request it.
    pub(super) async fn check_empty(
        &self,
        resources: &dyn ResourceType,
        endpoint: Endpoint,
        reading: EmptyReading,
        call: &CallContext,
    ) -> Result<(), GovernanceError> {
        match reading {
            EmptyReading::First => self.confirm_works(EVIDENCE_MAX_AGE, call).await,
            EmptyReading::Second => self.confirm_none(resources, endpoint, call).await,
        }
    }

    async fn confirm_none(
        &self,
        resources: &dyn ResourceType,
        endpoint: Endpoint,
        call: &CallContext,
    ) -> Result<(), GovernanceError> {
        let Some(listed) = self.list_history.last_listed(resources.info().id) else {
            return Ok(());
        };
        match resources.get(listed.id, call).await {
            Ok(_) => Err(GovernanceError::Unexpected {
                endpoint: endpoint.name(),
                what: format!(
                    "an empty list, twice, although {} {} exists",
                    listed.resource_type, listed.id
                ),
            }),
            Err(
                Failure {
                    class: FailureClass::NotFound,
                    ..
                }
                | Failure {
                    error: GovernanceError::ResourceNotFound { .. },
                    ..
                },
            ) => Ok(()),
            Err(failure) => Err(self.explain(failure, call).await),
        }
    }
}
