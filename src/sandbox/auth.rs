//! Tokens: owner, scopes, expiry, and access to the organization.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

use http::{HeaderMap, header};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use super::oauth::{KeyFormatError, PublicKey, issuer};
use super::response::{self, ErrorResponse};

/// The prefix of tokens of an exchange.
const EXCHANGED: &str = "bktx_";

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
    fn new(spec: TokenSpec) -> Self {
        Self {
            uuid: Uuid::new_v4(),
            owner: spec.owner,
            scopes: spec.scopes,
            description: spec.description,
            created_at: Timestamp::now(),
            expires_at: spec.expires_at,
            reaches_organization: spec.reaches_organization,
        }
    }

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
    /// Access tokens with a public key, by UUID.
    by_key: RwLock<HashMap<Uuid, KeyToken>>,
}

/// An access token with a public key in place of a secret.
struct KeyToken {
    token: Arc<Token>,
    key: Arc<PublicKey>,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Tokens(..)")
    }
}

impl Tokens {
    pub(super) fn mint(&self, spec: TokenSpec) -> SecretString {
        self.insert("bkua_", spec).into()
    }

    /// Creates a token of an exchange.
    pub(super) fn issue(&self, spec: TokenSpec) -> String {
        self.insert(EXCHANGED, spec)
    }

    fn insert(&self, prefix: &str, spec: TokenSpec) -> String {
        // The form of a real token: the prefix and 40 characters.
        let body = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let secret = format!("{prefix}{}", body.chars().take(40).collect::<String>());
        let mut tokens = self.by_secret.write().unwrap_or_else(PoisonError::into_inner);
        tokens.insert(secret.clone(), Arc::new(Token::new(spec)));
        secret
    }

    /// Creates an access token with a public key, and returns its UUID.
    pub(super) fn mint_with_key(&self, spec: TokenSpec, public_pem: &str) -> Result<Uuid, KeyFormatError> {
        let (token, key) = (Arc::new(Token::new(spec)), Arc::new(PublicKey::parse(public_pem)?));
        let id = token.uuid;
        self.key_tokens().insert(id, KeyToken { token, key });
        Ok(id)
    }

    /// Replaces the public key of an access token.
    pub(super) fn replace_key(&self, id: Uuid, public_pem: &str) -> Result<(), KeyFormatError> {
        let key = Arc::new(PublicKey::parse(public_pem)?);
        if let Some(held) = self.key_tokens().get_mut(&id) {
            held.key = key;
        }
        Ok(())
    }

    /// Revokes all tokens of exchanges.
    pub(super) fn revoke_exchanged(&self) {
        let mut tokens = self.by_secret.write().unwrap_or_else(PoisonError::into_inner);
        tokens.retain(|secret, _| !secret.starts_with(EXCHANGED));
    }

    fn key_tokens(&self) -> RwLockWriteGuard<'_, HashMap<Uuid, KeyToken>> {
        self.by_key.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn revoke(&self, secret: &SecretString) {
        let mut tokens = self.by_secret.write().unwrap_or_else(PoisonError::into_inner);
        tokens.remove(secret.expose_secret());
    }

    pub(super) fn revoke_by_id(&self, uuid: Uuid) {
        let mut tokens = self.by_secret.write().unwrap_or_else(PoisonError::into_inner);
        tokens.retain(|_, token| token.uuid != uuid);
        drop(tokens);
        self.key_tokens().remove(&uuid);
    }

    /// Finds the token of a request at `now`, unless it is unknown or expired. Basic authentication is not accepted.
    pub(super) fn authenticate(&self, headers: &HeaderMap, now: Timestamp) -> Option<Arc<Token>> {
        let (scheme, secret) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let tokens = self.by_secret.read().unwrap_or_else(PoisonError::into_inner);
        let by_secret = tokens.get(secret.trim()).cloned();
        let token = by_secret.or_else(|| self.by_signature(secret.trim(), now))?;
        token.expires_at.is_none_or(|at| now < at).then_some(token)
    }

    /// The access token whose private key signed the JWT.
    fn by_signature(&self, jwt: &str, now: Timestamp) -> Option<Arc<Token>> {
        let id: Uuid = issuer(jwt)?.parse().ok()?;
        let (token, key) = {
            let tokens = self.by_key.read().unwrap_or_else(PoisonError::into_inner);
            let held = tokens.get(&id)?;
            (Arc::clone(&held.token), Arc::clone(&held.key))
        };
        key.authorizes(jwt, id, now.as_second()).then_some(token)
    }
}
