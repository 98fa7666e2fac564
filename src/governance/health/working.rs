//! What is said of a check whose answer was in order: that it works, that it works but, or that what was answered shows why
//! it does not.

use super::assess::{Context, Told};
use super::check::State;
use super::evidence::{Evidence, Seen};
use super::expiry::{Expiry, moment};
use super::failure::{lacking, missing_scopes};
use super::remedy;
use crate::governance::provisioning::ProtectedNames;
use crate::governance::{GovernanceError, OwnerRole, PartialVisibility};
use crate::providers::buildkite::{AccessToken, Endpoint, Scope};

/// Whether members may be changed, by the token's scopes, the record and the owner's role.
pub(crate) fn management(token: &AccessToken, evidence: &Evidence, context: &Context) -> Told {
    if token.lacks(Scope::WriteTeams) {
        let missing = missing_scopes(token, context);
        let told = Told::new(
            State::Unhealthy,
            lacking(Scope::WriteTeams),
            remedy::tick(&missing, context.provisioning),
        );
        return told.because_of(GovernanceError::MissingScope {
            scope: Scope::WriteTeams,
            call: Endpoint::AddMember,
        });
    }
    if let Some(why) = &context.audit_trouble {
        let summary = format!("no change is made while the audit record cannot be written: {why}");
        return Told::new(State::Unhealthy, summary, remedy::audit()).of_changes();
    }
    if let Some(told) = context.protected_names.as_ref().and_then(protected_names) {
        return told;
    }
    match evidence.owner_role() {
        Some(OwnerRole::Member) => Told::new(
            State::Degraded,
            "the token's owner is no organization admin: only teams they maintain can be changed",
            remedy::admin_owner(),
        ),
        Some(OwnerRole::Admin) => Told::healthy("team members can be changed"),
        Some(OwnerRole::Unknown) | None => {
            Told::healthy("the token may change team members (the owner's organization role is not told)")
        }
    }
}

/// What is not in order with the names that are protected.
fn protected_names(names: &ProtectedNames) -> Option<Told> {
    let (state, summary, remedy) = match names {
        ProtectedNames::Found => return None,
        ProtectedNames::Unread => (
            State::Unknown,
            "what --protect-team and --protect-user lead to is not looked up yet".to_owned(),
            "ask again in a moment; in a large organization it takes a few minutes".to_owned(),
        ),
        ProtectedNames::Unreadable(error) => (
            State::Unknown,
            format!("what --protect-team and --protect-user lead to could not be looked up ({error})"),
            "ask again in a moment".to_owned(),
        ),
        ProtectedNames::Unknown(name) => (
            State::Unhealthy,
            format!("no change is made while a protected name leads to nothing: {name}"),
            remedy::protected_names(),
        ),
        ProtectedNames::Gone(name) => (State::Degraded, name.clone(), remedy::protected_names()),
    };
    Some(Told::new(state, summary, remedy).of_changes())
}

/// Whether the token lasts.
pub(crate) fn expiry(token: &AccessToken, context: &Context) -> Told {
    let expiry = Expiry::of(token);
    let summary = match expiry {
        Expiry::Never => return Told::healthy("the token is accepted and never expires"),
        Expiry::Unreadable => {
            let text = token.expires_at.as_deref().unwrap_or_default();
            let text = crate::telemetry::redact::redact(text);
            return Told::healthy(format!(
                "the token is accepted (when it expires cannot be read: `{text}`)"
            ));
        }
        Expiry::At(at) if !expiry.is_within(context.expiry_warning, context.now) => {
            return Told::healthy(format!("the token is accepted until {}", moment(at)));
        }
        Expiry::At(at) if at <= context.now => format!(
            "the token is still accepted although it expired at {}: it may end at any moment",
            moment(at)
        ),
        Expiry::At(at) => format!("the token expires soon, at {}", moment(at)),
    };
    Told::new(State::Degraded, summary, remedy::replace_token(context.provisioning))
}

/// Whether all teams are shown.
pub(crate) fn visibility(evidence: &Evidence, context: &Context) -> Told {
    match (evidence.owner_role(), context.partial_visibility) {
        (Some(OwnerRole::Member), PartialVisibility::Refuse) => {
            let owner = evidence.user.as_ref().and_then(Seen::value);
            let owner = owner.and_then(|owner| owner.email.clone().or_else(|| owner.name.clone()));
            Told::new(
                State::Unhealthy,
                "the token's owner is no organization admin and is not shown secret teams, so team listings are refused",
                remedy::admin_owner_or_partial_view(),
            )
            .because_of(GovernanceError::PartialVisibility {
                owner: owner.unwrap_or_else(|| "(unknown)".to_owned()),
            })
        }
        (Some(OwnerRole::Member), PartialVisibility::Allow) => Told::new(
            State::Degraded,
            "teams can be listed, without the secret ones: the token's owner is no organization admin",
            remedy::admin_owner(),
        ),
        (Some(OwnerRole::Admin), _) => Told::healthy("teams can be listed, all of them"),
        (Some(OwnerRole::Unknown) | None, _) => match evidence.owner_role_trouble() {
            Some(error) => Told::new(
                State::Unknown,
                "teams can be listed, but whether all of them are shown is not known: the owner's role could not be asked",
                "ask again in a moment",
            )
            .because_of(GovernanceError::plain(error.clone())),
            None => Told::healthy("teams can be listed (the owner's organization role is not told, and is treated as admin)"),
        },
    }
}
