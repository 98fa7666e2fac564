//! Tokens: who owns them, what they may do, how long, and whether they reach the organization.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use http::{HeaderMap, header};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use super::answers::{self, Refusal};

/// The scopes that the endpoints of the sandbox ask for.
pub const ALL_SCOPES: [&str; 4] = ["read_user", "read_organizations", "read_teams", "write_teams"];

/// What a token to be minted is like.
#[derive(Clone, Debug)]
pub struct TokenSpec {
    /// The user it acts for: their role decides what is shown and allowed, and it is their rate limit that it spends.
    pub owner: Uuid,
    /// Scopes by name. Unknown names are kept and mean nothing, as in Buildkite's own examples.
    pub scopes: Vec<String>,
    /// From when on it is refused with 401; none: never.
    pub expires_at: Option<Timestamp>,
    /// Whether it was given access to the organization: if not, the organization is not found.
    pub reaches_organization: bool,
    /// Description as its owner gave it.
    pub description: String,
}

impl TokenSpec {
    /// A token with the four scopes that never expires.
    #[must_use]
    pub fn owned_by(owner: Uuid) -> Self {
        Self {
            owner,
            scopes: ALL_SCOPES.map(str::to_owned).to_vec(),
            expires_at: None,
            reaches_organization: true,
            description: "sandbox".to_owned(),
        }
    }

    /// The same with these scopes only.
    #[must_use]
    pub fn with_scopes(mut self, scopes: &[&str]) -> Self {
        self.scopes = scopes.iter().map(|&scope| scope.to_owned()).collect();
        self
    }

    /// The same with this description.
    #[must_use]
    pub fn described(mut self, description: &str) -> Self {
        description.clone_into(&mut self.description);
        self
    }
}

/// A minted token, without the secret itself.
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
    /// Lets only a token with this scope pass.
    pub(super) fn require(&self, scope: &str) -> Result<(), Refusal> {
        if self.scopes.iter().any(|held| held == scope) {
            Ok(())
        } else {
            Err(answers::missing_scope(scope))
        }
    }
}

/// All tokens that are valid, by their secret.
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
        // The form of a real one: the prefix and 40 characters.
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

    /// The token that a request carries, unless it is unknown or expired. Basic authentication is not accepted.
    pub(super) fn presented(&self, headers: &HeaderMap) -> Option<Arc<Token>> {
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
