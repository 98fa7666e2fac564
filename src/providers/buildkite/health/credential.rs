//! What the token's own record says about it.

use crate::governance::Change;
use crate::governance::health::{CredentialReport, Expiry};
use crate::providers::buildkite::{AccessToken, Coverage, CredentialForm, IncludedType, timestamp};

/// Reports a credential of this form by the record of its token.
pub(crate) fn report(token: &AccessToken, form: CredentialForm, coverage: &Coverage) -> CredentialReport {
    let owner = token.user.clone();
    CredentialReport {
        owner_name: owner.as_ref().and_then(|owner| owner.name.clone()).unwrap_or_default(),
        owner_email: owner.and_then(|owner| owner.email).unwrap_or_default(),
        scopes: token.scopes.clone(),
        expiry: expiry(token, form),
        description: token.description.clone().unwrap_or_default(),
        purpose: purpose(coverage),
        not_needed: not_needed(token, coverage),
    }
}

/// When a token expires, in each form that Buildkite may use (reference, sections 2.6 and 8.9): a null or absent time, as in
/// tokens older than the feature, means never. An access token with a public key does not expire, and a token of an exchange is
/// renewed (sections 5.4 and 5.5).
pub(crate) fn expiry(token: &AccessToken, form: CredentialForm) -> Expiry {
    match token.expires_at.as_deref() {
        _ if form == CredentialForm::PrivateKey => Expiry::Never,
        _ if form == CredentialForm::TokenExchange => Expiry::Renewed,
        None => Expiry::Never,
        Some(text) => timestamp(text).map_or(Expiry::Unreadable, Expiry::At),
    }
}

/// The scopes that a token has and that nothing requires.
pub(crate) fn not_needed(token: &AccessToken, coverage: &Coverage) -> Vec<String> {
    let needed = coverage.scopes();
    let is_needed = |granted: &str| needed.iter().any(|scope| scope.as_str() == granted);
    token.scopes.iter().filter(|scope| !is_needed(scope)).cloned().collect()
}

/// What the token is used for, in one sentence.
fn purpose(coverage: &Coverage) -> String {
    let mut purpose = "lists people, teams and memberships".to_owned();
    let included: Vec<&str> = coverage.included().map(IncludedType::as_str).collect();
    if !included.is_empty() {
        purpose = format!("{purpose}, and by --include {}", included.join(","));
    }
    let others: Vec<&str> = coverage
        .allowed()
        .iter()
        .filter(|change| *change != Change::Membership)
        .map(Change::as_str)
        .collect();
    if coverage.allowed().allows(Change::Membership) {
        purpose += ", and changes memberships";
    }
    if !others.is_empty() {
        purpose = format!("{purpose}, and makes the changes of --allow {}", others.join(","));
    }
    purpose
}
