//! Tokens: owner, scopes, expiry, and access to the organization.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use http::{HeaderMap, header};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use super::response::{self, ErrorResponse};

/// The scopes of the endpoints about the user, the organization, its members, teams and what teams have access to.
pub const TEAM_SCOPES: [&str; 4] = ["read_user", "read_organizations", "read_teams", "write_teams"];

/// The scopes that the sandbox's endpoints require, and `write_pipelines`, which shows the URLs of webhooks.
pub const ALL_SCOPES: [&str; 20] = [
    "read_user",
    "read_organizations",
    "write_organizations",
    "read_organization_invitations",
    "write_organization_invitations",
    "read_teams",
    "write_teams",
    "read_pipelines",
    "write_pipelines",
    "read_builds",
    "write_builds",
    "read_build_logs",
    "read_job_env",
    "read_artifacts",
    "read_agents",
    "read_clusters",
    "write_clusters",
    "read_suites",
    "read_registries",
    "read_audit_events",
];

/// The properties of a token to be created.
#[derive(Clone, Debug)]
pub struct TokenSpec {
    /// The user who owns the token. The owner's role decides what is visible and allowed, and requests count against
    /// the owner's rate limit.
    pub owner: Uuid,
    /// Scopes by name. Unknown names are kept and have no effect, as in Buildkite's own examples.
    pub scopes: Vec<String>,
    /// When the token expires; an expired token is rejected with 401. `None`: never.
    pub expires_at: Option<Timestamp>,
    /// Whether the token has access to the organization. Without access, the organization is not found.
    pub reaches_organization: bool,
    /// The owner's description of the token.
    pub description: String,
}

impl TokenSpec {
    /// A token with the scopes of [`TEAM_SCOPES`] that never expires.
    #[must_use]
    pub fn owned_by(owner: Uuid) -> Self {
        Self {
            owner,
            scopes: TEAM_SCOPES.map(str::to_owned).to_vec(),
            expires_at: None,
            reaches_organization: true,
            description: "sandbox".to_owned(),
        }
    }

    /// The same token with only these scopes.
    #[must_use]
    pub fn with_scopes(mut self, scopes: &[&str]) -> Self {
        self.scopes = scopes.iter().map(|&scope| scope.to_owned()).collect();
        self
    }

    /// The same token with all scopes.
    #[must_use]
    pub fn with_all_scopes(self) -> Self {
        self.with_scopes(&ALL_SCOPES)
    }

    /// The same token with this description.
    #[must_use]
    pub fn with_description(mut self, description: &str) -> Self {
        description.clone_into(&mut self.description);
        self
    }
}

/// A token without its secret.
#[derive(Debug)]
pub(super) struct Token {
    pub(super) uuid: Uuid,
    pub(super) owner: Uuid,
    pub(super) scopes: Vec<String>,
    pub(super) description: String,
    pub(super) created_at: Timestamp,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) reaches_organization: bool,
}

impl Token {
    /// Returns an error unless the token has this scope.
    pub(super) fn require_scope(&self, scope: &str) -> Result<(), ErrorResponse> {
        if self.scopes.iter().any(|granted| granted == scope) {
            Ok(())
        } else {
            Err(response::missing_scope(scope))
        }
    }
}

/// All valid tokens by secret.
#[derive(Default)]
pub(super) struct Tokens {
    by_secret: RwLock<HashMap<String, Arc<Token>>>,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Tokens(..)")
    }
}

impl Tokens {
    pub(super) fn mint(&self, spec: TokenSpec) -> SecretString {
        // The form of a real token: the prefix and 40 characters.
        let body = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let secret = format!("bkua_{}", body.chars().take(40).collect::<String>());
        let token = Token {
            uuid: Uuid::new_v4(),
            owner: spec.owner,
            scopes: spec.scopes,
            description: spec.description,
            created_at: Timestamp::now(),
            expires_at: spec.expires_at,
            reaches_organization: spec.reaches_organization,
        };
        self.by_secret
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(secret.clone(), Arc::new(token));
        SecretString::from(secret)
    }

    pub(super) fn revoke(&self, secret: &SecretString) {
        let mut tokens = self.by_secret.write().unwrap_or_else(PoisonError::into_inner);
        tokens.remove(secret.expose_secret());
    }

    pub(super) fn revoke_by_id(&self, uuid: Uuid) {
        let mut tokens = self.by_secret.write().unwrap_or_else(PoisonError::into_inner);
        tokens.retain(|_, token| token.uuid != uuid);
    }

    /// Finds the token of a request, unless it is unknown or expired. Basic authentication is not accepted.
    pub(super) fn authenticate(&self, headers: &HeaderMap) -> Option<Arc<Token>> {
        let (scheme, secret) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let tokens = self.by_secret.read().unwrap_or_else(PoisonError::into_inner);
        let token = tokens.get(secret.trim())?;
        token
            .expires_at
            .is_none_or(|at| Timestamp::now() < at)
            .then(|| Arc::clone(token))
    }
}
