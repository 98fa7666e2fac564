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
    if token.lacks(Scope::WriteTeams) {
        let missing = missing_scopes(token, context);
        let finding = Finding::new(
            State::Unhealthy,
            missing_scope_summary(Scope::WriteTeams),
            remedy::create_token_with(&missing, context.governance.provisioning),
        );
        return finding.with_error(GovernanceError::MissingScope {
            scope: Scope::WriteTeams.as_str(),
            endpoint: Endpoint::AddMember.name(),
        });
    }
    if let Some(why) = &context.governance.audit_error {
        let summary = format!("no change is made while the audit record cannot be written: {why}");
        return Finding::new(State::Unhealthy, summary, remedy::audit()).changes_only();
    }
    if let Some(finding) = context.governance.protected_names.as_ref().and_then(protected_names) {
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
