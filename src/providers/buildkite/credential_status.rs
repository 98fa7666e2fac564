//! The status of the credential: its owner, its scopes, the organization that it reaches, and the owner's role there.
//!
//! Derived from what [`super::health`] keeps, after at most four requests. Other modules of governance use it before they
//! believe an empty list, before they call a team gone, and to name the scope that a 403 is about.

use std::time::Duration;

use crate::governance::provider::{MaxAge, OwnerRole};
use crate::governance::{CallContext, GovernanceError};
use crate::providers::buildkite::{
    AccessToken, Buildkite, CurrentUser, Endpoint, Organization, OrganizationMember, ProbeSet,
};

/// How long what was seen of the token counts as just seen.
pub(crate) const EVIDENCE_MAX_AGE: Duration = Duration::from_secs(60);

/// The role in a member's record.
pub(crate) fn owner_role(member: &OrganizationMember) -> OwnerRole {
    match member.role.as_deref() {
        Some("admin") => OwnerRole::Admin,
        Some("member") => OwnerRole::Member,
        _ => OwnerRole::Unknown,
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

impl Buildkite {
    /// The token's standing, at most `age` old.
    ///
    /// # Errors
    /// Whatever keeps the token, its scopes or the organization from being read.
    pub async fn credential_status(
        &self,
        age: Duration,
        call: &CallContext,
    ) -> Result<CredentialStatus, GovernanceError> {
        let probed = self
            .probe(
                ProbeSet::CredentialStatus,
                MaxAge {
                    success: age,
                    failure: Duration::ZERO,
                },
                call,
            )
            .await;
        let evidence = self.recorder.evidence();
        let token = evidence.token.and_then(|seen| seen.outcome.ok());
        if let Err(error) = probed {
            return Err(self.credential_error(error, token.as_ref()));
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
                endpoint: Endpoint::AccessToken.name(),
                why: "the token's standing changed while it was read".to_owned(),
            }),
        }
    }
}
