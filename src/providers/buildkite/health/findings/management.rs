//! Whether team members can be changed.

use super::{missing_scope_summary, missing_scopes};
use crate::governance::GovernanceError;
use crate::governance::health::State;
use crate::governance::provider::OwnerRole;
use crate::governance::provisioning::ProtectedNames;
use crate::providers::buildkite::health::assess::{Context, Finding};
use crate::providers::buildkite::health::evidence::Evidence;
use crate::providers::buildkite::health::remedy;
use crate::providers::buildkite::{AccessToken, Endpoint, Scope};

/// Whether team members can be changed, by the token's scopes, the audit record, the protected names and the owner's role.
pub(crate) fn management(token: &AccessToken, evidence: &Evidence, context: &Context<'_>) -> Finding {
    let missing = lacks_scope(Scope::WriteTeams, Endpoint::AddMember, token, context);
    if let Some(finding) = missing.or_else(|| obstacle(context)) {
        return finding;
    }
    match evidence.owner_role() {
        Some(OwnerRole::Member) => Finding::new(
            State::Degraded,
            "the token's owner is not an organization admin: only teams they maintain can be changed",
            remedy::admin_owner(),
        ),
        Some(OwnerRole::Admin) => Finding::healthy("team members can be changed"),
        Some(OwnerRole::Unknown) | None => {
            Finding::healthy("the token may change team members (the owner's organization role is not known)")
        }
    }
}

/// Whether teams can be created, changed and deleted: only by a token of an organization admin.
pub(crate) fn team_management(token: &AccessToken, evidence: &Evidence, context: &Context<'_>) -> Finding {
    let missing = missing_scope(Scope::WriteTeams, token, context);
    if let Some(finding) = missing.or_else(|| obstacle(context)) {
        return finding;
    }
    match evidence.owner_role() {
        Some(OwnerRole::Member) => not_admin(),
        Some(OwnerRole::Admin) => Finding::healthy("teams can be created, changed and deleted"),
        Some(OwnerRole::Unknown) | None => {
            Finding::healthy("the token may change teams (the owner's organization role is not told)")
        }
    }
}

/// A scope that the token does not declare.
pub(crate) fn missing_scope(scope: Scope, token: &AccessToken, context: &Context<'_>) -> Option<Finding> {
    lacks_scope(scope, Endpoint::AccessToken, token, context)
}

fn lacks_scope(scope: Scope, endpoint: Endpoint, token: &AccessToken, context: &Context<'_>) -> Option<Finding> {
    token.lacks(scope).then(|| {
        let finding = Finding::new(
            State::Unhealthy,
            missing_scope_summary(scope),
            remedy::give_scopes(&missing_scopes(token, context), context),
        );
        finding.with_error(GovernanceError::MissingScope {
            scope: scope.as_str(),
            endpoint: endpoint.name(),
        })
    })
}

/// What keeps every change from being made, or may do so: the audit record, or the protected names.
pub(super) fn obstacle(context: &Context<'_>) -> Option<Finding> {
    if let Some(why) = &context.governance.audit_error {
        let summary = format!("no change is made while the audit record cannot be written: {why}");
        return Some(Finding::new(State::Unhealthy, summary, remedy::audit()).changes_only());
    }
    context.governance.protected_names.as_ref().and_then(protected_names)
}

/// The owner is not an organization admin, and Buildkite lets no other do it.
pub(super) fn not_admin() -> Finding {
    let summary = "the token's owner is no organization admin, and buildkite lets only admins do this";
    Finding::new(State::Unhealthy, summary, remedy::admin_owner()).changes_only()
}

/// The problem with the protected names, if there is one.
fn protected_names(names: &ProtectedNames) -> Option<Finding> {
    let (state, summary, remedy) = match names {
        ProtectedNames::Found => return None,
        ProtectedNames::Unread => (
            State::Unknown,
            "what --protect-team and --protect-user lead to is not looked up yet".to_owned(),
            "try again in a moment; in a large organization it takes a few minutes".to_owned(),
        ),
        ProtectedNames::Unreadable(error) => (
            State::Unknown,
            format!("what --protect-team and --protect-user lead to could not be looked up ({error})"),
            "try again in a moment".to_owned(),
        ),
        ProtectedNames::Unknown(name) => (
            State::Unhealthy,
            format!("no change is made while a protected name leads to nothing: {name}"),
            remedy::protected_names(),
        ),
        ProtectedNames::Gone(name) => (State::Degraded, name.clone(), remedy::protected_names()),
    };
    Some(Finding::new(state, summary, remedy).changes_only())
}
