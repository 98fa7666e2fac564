//! What the token's own record says about it.

use crate::governance::Change;
use crate::governance::health::{CredentialReport, Expiry};
use crate::providers::buildkite::budget::CredentialUse;
use crate::providers::buildkite::health::assess::Context;
use crate::providers::buildkite::{AccessToken, Coverage, CredentialForm, IncludedType, Scope, timestamp};

/// Reports a credential by the record of its token.
pub(crate) fn report(token: &AccessToken, context: &Context<'_>) -> CredentialReport {
    let owner = token.user.clone();
    CredentialReport {
        owner_name: owner.as_ref().and_then(|owner| owner.name.clone()).unwrap_or_default(),
        owner_email: owner.and_then(|owner| owner.email).unwrap_or_default(),
        scopes: token.scopes.clone(),
        expiry: expiry(token, context.credential),
        description: token.description.clone().unwrap_or_default(),
        purpose: purpose(context.coverage, context.usage),
        not_needed: not_needed(token, context),
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
pub(crate) fn not_needed(token: &AccessToken, context: &Context<'_>) -> Vec<String> {
    let needed = needed(context);
    let is_needed = |granted: &str| needed.iter().any(|scope| scope.as_str() == granted);
    token.scopes.iter().filter(|scope| !is_needed(scope)).cloned().collect()
}

/// The scopes that a credential needs: one that makes no changes needs none to write.
pub(crate) fn needed(context: &Context<'_>) -> Vec<Scope> {
    let scopes = context.coverage.scopes().into_iter();
    scopes.filter(|scope| context.usage.needs(*scope)).collect()
}

/// What the token is used for, in one sentence.
fn purpose(coverage: &Coverage, usage: CredentialUse) -> String {
    if usage == CredentialUse::Provisioning {
        return "decides, makes and confirms changes".to_owned();
    }
    let mut purpose = "lists people, teams and memberships".to_owned();
    let included: Vec<&str> = coverage.included().map(IncludedType::as_str).collect();
    if !included.is_empty() {
        purpose = format!("{purpose}, and by --include {}", included.join(","));
    }
    if usage == CredentialUse::Sync {
        return purpose;
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
