//! What the token is worth: whose it is, what it may do, which organization it reaches, and what its owner is there.
//!
//! Derived from what [`super::health`] keeps, after at most four requests. Other parts of this room ask it before they
//! believe an empty list, before they call a team gone, and to name the scope that a 403 is about.

use std::time::Duration;

use super::health::{Age, Depth};
use super::{Governance, GovernanceError};
use crate::providers::buildkite::{
    AccessToken, ApiError, ApiErrorKind, CallContext, CurrentUser, Endpoint, Organization, OrganizationMember,
};

/// How long what was seen of the token counts as just seen.
pub(crate) const JUST_SEEN: Duration = Duration::from_secs(60);

/// What the token's owner is in the organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnerRole {
    /// Sees and governs every team.
    Admin,
    /// Is not shown secret teams, governs the teams they maintain.
    Member,
    /// Not told: an older answer, or a scope that is missing. Treated as admin, but proves nothing.
    Unknown,
}

impl OwnerRole {
    /// The role that a person's record tells.
    #[must_use]
    pub fn of(person: &OrganizationMember) -> Self {
        match person.role.as_deref() {
            Some("admin") => Self::Admin,
            Some("member") => Self::Member,
            _ => Self::Unknown,
        }
    }
}

/// What the token was seen to be worth.
#[derive(Debug, Clone)]
pub struct CredentialStatus {
    /// The token's own record.
    pub token: AccessToken,
    /// Its owner, where the scopes allow to know.
    pub owner: Option<CurrentUser>,
    /// The organization.
    pub organization: Organization,
    /// The owner's role in it.
    pub owner_role: OwnerRole,
}

impl CredentialStatus {
    /// The owner by e-mail or name, as far as known.
    #[must_use]
    pub fn owner_label(&self) -> String {
        let from_user = self
            .owner
            .as_ref()
            .and_then(|owner| owner.email.clone().or_else(|| owner.name.clone()));
        let from_token = || {
            self.token
                .user
                .as_ref()
                .and_then(|user| user.email.clone().or_else(|| user.name.clone()))
        };
        from_user.or_else(from_token).unwrap_or_else(|| "(unknown)".to_owned())
    }
}

impl Governance {
    /// The token's standing, at most `age` old.
    ///
    /// # Errors
    /// Whatever keeps the token, its scopes or the organization from being read.
    pub async fn credential_status(
        &self,
        age: Duration,
        call: &CallContext,
    ) -> Result<CredentialStatus, GovernanceError> {
        let looked = self
            .look(
                Depth::CredentialStatus,
                Age {
                    good: age,
                    bad: Duration::ZERO,
                },
                call,
            )
            .await;
        let evidence = self.observed.evidence();
        let token = evidence.token.and_then(|seen| seen.outcome.ok());
        if let Err(error) = looked {
            return Err(self.about_organization(error, token.as_ref()));
        }
        let organization = evidence.organization.and_then(|seen| seen.outcome.ok());
        let owner = evidence.user.and_then(|seen| seen.outcome.ok());
        let owner_role = match &owner {
            Some(_) => evidence
                .owner_role
                .and_then(|seen| seen.outcome.ok())
                .unwrap_or(OwnerRole::Unknown),
            None => OwnerRole::Unknown,
        };
        match (token, organization) {
            (Some(token), Some(organization)) => Ok(CredentialStatus {
                token,
                owner,
                organization,
                owner_role,
            }),
            // Another caller saw it fail in the moment between; what it saw is as true for this one.
            _ => Err(GovernanceError::Unavailable {
                call: Endpoint::AccessToken,
                why: "the token's standing changed while it was read".to_owned(),
            }),
        }
    }

    /// An error of a call that is about the organization itself.
    pub(crate) fn about_organization(&self, error: ApiError, token: Option<&AccessToken>) -> GovernanceError {
        match (&error.kind, token) {
            (ApiErrorKind::NotFound, _) if error.endpoint == Endpoint::Organization => {
                GovernanceError::OrganizationUnreachable {
                    organization: self.organization().to_owned(),
                }
            }
            (ApiErrorKind::Forbidden, token) => GovernanceError::forbidden(error, token),
            _ => GovernanceError::plain(error),
        }
    }

    /// An error of any call: names the missing scope of a 403, and finds out what a list's 404 means.
    pub(crate) async fn explain(&self, error: ApiError, call: &CallContext) -> GovernanceError {
        match (&error.kind, error.endpoint) {
            (ApiErrorKind::Forbidden, _) => {
                let token = self.upstream.access_token(call).await.ok();
                GovernanceError::forbidden(error, token.as_ref())
            }
            (ApiErrorKind::NotFound, Endpoint::Organization) => self.about_organization(error, None),
            (ApiErrorKind::NotFound, Endpoint::OrganizationMembers | Endpoint::Teams) => {
                match self.upstream.organization(call).await {
                    Ok(_) => GovernanceError::TeamsUnavailable { call: error.endpoint },
                    Err(about) => self.about_organization(about, None),
                }
            }
            _ => GovernanceError::plain(error),
        }
    }
}
