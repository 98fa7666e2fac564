//! The status of the credential: its owner, its scopes, the organization that it reaches, and the owner's role there.
//!
//! It is derived from the evidence of [`super::health`], after at most four requests. Other modules require it before they accept
//! an empty list and before they report a team as absent, and use it to name the scope that a 403 is about.

use std::time::Duration;

use crate::governance::provider::{MaxAge, OwnerRole};
use crate::governance::{CallContext, GovernanceError};
use crate::providers::buildkite::{AccessToken, Buildkite, CurrentUser, Endpoint, Organization, OrganizationMember};

/// The maximum age of evidence about the token for checks that tolerate a recent result.
pub(crate) const EVIDENCE_MAX_AGE: Duration = Duration::from_secs(60);

/// The owner's role according to their member record.
pub(crate) fn owner_role(member: &OrganizationMember) -> OwnerRole {
    match member.role.as_deref() {
        Some("admin") => OwnerRole::Admin,
        Some("member") => OwnerRole::Member,
        _ => OwnerRole::Unknown,
    }
}

/// The status of the token.
#[derive(Debug, Clone)]
pub struct CredentialStatus {
    /// The token's own record.
    pub token: AccessToken,
    /// Its owner, if the scopes permit to read it.
    pub owner: Option<CurrentUser>,
    /// The organization.
    pub organization: Organization,
    /// The owner's role in it.
    pub owner_role: OwnerRole,
}

impl CredentialStatus {
    /// The owner's e-mail address or name; `(unknown)` if neither is known.
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
    /// The status of the token that answers for this call, at most `max_age` old.
    ///
    /// # Errors
    /// The failure to read the token, its scopes or the organization.
    pub async fn credential_status(
        &self,
        max_age: Duration,
        call: &CallContext,
    ) -> Result<CredentialStatus, GovernanceError> {
        let mut position = self.client.responsible(call);
        let mut failed = Vec::new();
        loop {
            let status = self.status_of(position, max_age, call).await;
            failed.push(position);
            // It may have been left out because of its failure, and another one answers for the call.
            position = self.client.responsible(call);
            if status.is_ok() || failed.contains(&position) {
                return status;
            }
        }
    }

    /// The status of the token at a position, at most `max_age` old.
    ///
    /// # Errors
    /// As for [`Self::credential_status`].
    pub(crate) async fn status_of(
        &self,
        position: usize,
        max_age: Duration,
        call: &CallContext,
    ) -> Result<CredentialStatus, GovernanceError> {
        let age = MaxAge {
            success: max_age,
            failure: Duration::ZERO,
            others: max_age,
        };
        let probed = self.probe(position, age, call).await;
        let evidence = self.recorder.evidence(position);
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
            // A concurrent caller's probe failed between this probe and reading the evidence; its failure applies here as well.
            _ => Err(GovernanceError::Unavailable {
                endpoint: Endpoint::AccessToken.name(),
                why: "the token's status changed while it was read".to_owned(),
            }),
        }
    }
}
