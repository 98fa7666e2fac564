//! Checks empty lists.
//!
//! The list of users is never empty, because the token's owner is one of them. An empty list of teams is read twice, and a team that
//! this process saw earlier is requested by its id.

use std::time::Duration;

use super::credential_status::EVIDENCE_MAX_AGE;
use super::resources::{TEAM, Teams};
use super::{Buildkite, Endpoint};
use crate::governance::provider::{FailureClass, ResourceType};
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
}

impl Teams {
    /// Accepts an empty list of teams that was read twice.
    ///
    /// # Errors
    /// `Unexpected` if a team that was listed before responds, or the failure to request it.
    pub(super) async fn confirm_no_teams(&self, call: &CallContext) -> Result<(), GovernanceError> {
        let Some(team) = self.buildkite().list_history.last_listed(TEAM.id) else {
            return Ok(());
        };
        match self.get(team.id, call).await {
            Ok(_) => Err(GovernanceError::Unexpected {
                endpoint: Endpoint::Teams.name(),
                what: format!("an empty list, twice, although team {} exists", team.id),
            }),
            Err(failure) if failure.class == FailureClass::NotFound => Ok(()),
            Err(failure) => Err(self.buildkite().explain(failure, call).await),
        }
    }
}
