//! What the token's own record says about it.

use crate::governance::health::{CredentialReport, Expiry};
use crate::providers::buildkite::{AccessToken, Scope, timestamp};

/// Reports a token by its record.
pub(crate) fn report(token: &AccessToken, provisioning: bool) -> CredentialReport {
    let owner = token.user.clone();
    let purpose = if provisioning {
        "lists people, teams and memberships, and changes memberships"
    } else {
        "lists people, teams and memberships"
    };
    CredentialReport {
        owner_name: owner.as_ref().and_then(|owner| owner.name.clone()).unwrap_or_default(),
        owner_email: owner.and_then(|owner| owner.email).unwrap_or_default(),
        scopes: token.scopes.clone(),
        expiry: expiry(token),
        description: token.description.clone().unwrap_or_default(),
        purpose: purpose.to_owned(),
        not_needed: not_needed(token, provisioning),
    }
}

/// When a token expires, in each form that Buildkite may use (reference, sections 2.6 and 8.9): a null or absent time, as in
/// tokens older than the feature, means never.
pub(crate) fn expiry(token: &AccessToken) -> Expiry {
    match token.expires_at.as_deref() {
        None => Expiry::Never,
        Some(text) => timestamp(text).map_or(Expiry::Unreadable, Expiry::At),
    }
}

/// The scopes that a token has and the connector does not need.
pub(crate) fn not_needed(token: &AccessToken, provisioning: bool) -> Vec<String> {
    let needed = |granted: &str| {
        let mut known = Scope::ALL.into_iter();
        known.any(|scope| scope.as_str() == granted && (provisioning || scope != Scope::WriteTeams))
    };
    token.scopes.iter().filter(|scope| !needed(scope)).cloned().collect()
}
