//! The findings of each check: state, sentence, remedy and error. First for checks whose probe succeeded (healthy, degraded, or
//! unhealthy because of what the response contains), then for each way in which a probe fails.

use super::assess::{Context, Finding};
use super::check::Check;
use super::evidence::{Evidence, Observation};
use super::{credential, remedy};
use crate::governance::health::{Expiry, State, format_minute};
use crate::governance::provider::OwnerRole;
use crate::governance::provisioning::ProtectedNames;
use crate::governance::{GovernanceError, PartialVisibility};
use crate::providers::buildkite::{
    AccessToken, ApiError, ApiErrorKind, Endpoint, Scope, Subject, Unavailability, from_api,
};

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
            "the token's owner is no organization admin: only teams they maintain can be changed",
            remedy::admin_owner(),
        ),
        Some(OwnerRole::Admin) => Finding::healthy("team members can be changed"),
        Some(OwnerRole::Unknown) | None => {
            Finding::healthy("the token may change team members (the owner's organization role is not told)")
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
    Some(Finding::new(state, summary, remedy).changes_only())
}

/// Whether the token expires soon.
pub(crate) fn expiry(token: &AccessToken, context: &Context<'_>) -> Finding {
    let expiry = credential::expiry(token);
    let summary = match expiry {
        Expiry::Never => return Finding::healthy("the token is accepted and never expires"),
        Expiry::Unreadable => {
            let text = token.expires_at.as_deref().unwrap_or_default();
            let text = crate::telemetry::redact::redact(text);
            return Finding::healthy(format!(
                "the token is accepted (when it expires cannot be read: `{text}`)"
            ));
        }
        Expiry::At(at) if !expiry.is_within(context.governance.expiry_warning, context.now) => {
            return Finding::healthy(format!("the token is accepted until {}", format_minute(at)));
        }
        Expiry::At(at) if at <= context.now => format!(
            "the token is still accepted although it expired at {}: it may end at any moment",
            format_minute(at)
        ),
        Expiry::At(at) => format!("the token expires soon, at {}", format_minute(at)),
    };
    Finding::new(
        State::Degraded,
        summary,
        remedy::replace_token(context.governance.provisioning),
    )
}

/// Whether the token's owner is shown all teams.
pub(crate) fn visibility(evidence: &Evidence, context: &Context<'_>) -> Finding {
    match (evidence.owner_role(), context.partial_visibility) {
        (Some(OwnerRole::Member), PartialVisibility::Refuse) => {
            let owner = evidence.user.as_ref().and_then(Observation::value);
            let owner = owner.and_then(|owner| owner.email.clone().or_else(|| owner.name.clone()));
            Finding::new(
                State::Unhealthy,
                "the token's owner is no organization admin and is not shown secret teams, so team listings are refused",
                remedy::admin_owner_or_partial_view(),
            )
            .with_error(GovernanceError::PartialVisibility {
                owner: owner.unwrap_or_else(|| "(unknown)".to_owned()),
            })
        }
        (Some(OwnerRole::Member), PartialVisibility::Allow) => Finding::new(
            State::Degraded,
            "teams can be listed, without the secret ones: the token's owner is no organization admin",
            remedy::admin_owner(),
        ),
        (Some(OwnerRole::Admin), _) => Finding::healthy("teams can be listed, all of them"),
        (Some(OwnerRole::Unknown) | None, _) => match evidence.owner_role_error() {
            Some(error) => Finding::new(
                State::Unknown,
                "teams can be listed, but whether all of them are shown is not known: the owner's role could not be asked",
                "ask again in a moment",
            )
            .with_error(from_api(error.clone(), Subject::Other, None)),
            None => Finding::healthy("teams can be listed (the owner's organization role is not told, and is treated as admin)"),
        },
    }
}

/// The finding of a check whose request failed. Rate-limited or unreachable is unknown, never unhealthy.
pub(crate) fn finding_for_error(check: Check, error: &ApiError, evidence: &Evidence, context: &Context<'_>) -> Finding {
    let unhealthy = |summary: String, remedy: String| Finding::new(State::Unhealthy, summary, remedy);
    let unknown = |summary: String, remedy: String| Finding::new(State::Unknown, summary, remedy);
    let finding = match &error.kind {
        ApiErrorKind::TokenRejected => unhealthy(
            "buildkite rejects the token: it is wrong, expired or revoked".to_owned(),
            remedy::replace_token(context.governance.provisioning),
        ),
        ApiErrorKind::Forbidden => forbidden(check, error, evidence, context),
        ApiErrorKind::NotFound => match check {
            Check::OrganizationAccess => unhealthy(unreachable(evidence, context), remedy::organization()),
            Check::Authentication | Check::UserIdentity => unhealthy(
                "what answers 404 here is not buildkite's api".to_owned(),
                remedy::api_base(),
            ),
            _ => unhealthy(
                "buildkite answers 404 for this list although the organization is readable".to_owned(),
                remedy::teams(),
            ),
        },
        ApiErrorKind::Rejected(status) => {
            unhealthy(format!("buildkite refuses the request with {status}"), remedy::report())
        }
        ApiErrorKind::Unexpected(what) => unhealthy(
            format!("an answer came that is not as documented: {what}"),
            remedy::api_base(),
        ),
        ApiErrorKind::RateLimited(_) => unknown(
            "could not be asked: the rate limit is used up".to_owned(),
            remedy::rate_limit(),
        ),
        ApiErrorKind::DeadlineExceeded | ApiErrorKind::Abandoned => {
            unknown("not answered in time".to_owned(), remedy::outage())
        }
        ApiErrorKind::Unavailable(cause) => unknown(unavailable(cause), remedy::unavailable(cause)),
    };
    finding.with_error(request_error(check, error, evidence.token(), context))
}

/// The remedy of a failed check, for the checks that depend on it.
pub(crate) fn remedy_for(check: Check, evidence: &Evidence, context: &Context<'_>) -> String {
    let rejected = || evidence.rejected.as_ref().and_then(Observation::error);
    let token = || evidence.token.as_ref().and_then(Observation::error);
    let error = if check == Check::OrganizationAccess {
        evidence.organization.as_ref().and_then(Observation::error)
    } else {
        rejected().or_else(token)
    };
    error.map_or_else(String::new, |error| {
        finding_for_error(check, error, evidence, context).remedy
    })
}

/// Names the scope by the token's own list if that is known, else by the request that failed.
fn forbidden(check: Check, error: &ApiError, evidence: &Evidence, context: &Context<'_>) -> Finding {
    let unhealthy = |summary: String, remedy: String| Finding::new(State::Unhealthy, summary, remedy);
    let message = error.message.as_ref().map(|text| format!(" (\"{text}\")"));
    let message = message.unwrap_or_default();
    match (check.scope(), evidence.token()) {
        (None, _) => unhealthy(
            format!("buildkite forbids to read the token's own record{message}"),
            remedy::forbidden(),
        ),
        (Some(scope), Some(token)) if token.lacks(scope) => unhealthy(
            missing_scope_summary(scope),
            remedy::create_token_with(&missing_scopes(token, context), context.governance.provisioning),
        ),
        (Some(scope), Some(_)) => unhealthy(
            format!("buildkite forbids it although the token has the scope `{scope}`{message}"),
            remedy::forbidden(),
        ),
        (Some(scope), None) => unhealthy(
            format!("buildkite forbids it: the token probably lacks the scope `{scope}`"),
            remedy::create_token_with(&[scope], context.governance.provisioning),
        ),
    }
}

fn unavailable(cause: &Unavailability) -> String {
    match cause {
        Unavailability::Status(status) => format!("buildkite is in trouble: it answers {status}"),
        Unavailability::Resolve(text) => {
            format!("buildkite cannot be found: the API base's name does not resolve ({text})")
        }
        Unavailability::Connect(text) => format!("buildkite cannot be reached: no connection ({text})"),
        Unavailability::Tls(text) => format!("buildkite cannot be reached: no trusted TLS connection ({text})"),
        Unavailability::ConnectionReset => "buildkite cannot be reached: the connection broke".to_owned(),
        // The time that was waited differs from probe to probe.
        Unavailability::Timeout(_) => "buildkite did not answer in time".to_owned(),
        Unavailability::HtmlBody => {
            "an HTML page came where buildkite's JSON was expected: a proxy or a login page speaks".to_owned()
        }
        Unavailability::NotJson(declared) => {
            format!(
                "an answer of type `{declared}` came where buildkite's JSON was expected: a proxy or a login page speaks"
            )
        }
        Unavailability::TruncatedBody => "buildkite's answer was cut short, or is no JSON".to_owned(),
        Unavailability::ListUnstable => "the list kept changing while it was read".to_owned(),
        Unavailability::Short => "the list ends before the length that its pages name".to_owned(),
    }
}

/// The error that a request would end with because of the same failure.
fn request_error(
    check: Check,
    error: &ApiError,
    token: Option<&AccessToken>,
    context: &Context<'_>,
) -> GovernanceError {
    let subject = match check {
        Check::OrganizationAccess => Subject::Organization(context.organization),
        Check::OrganizationMemberListing | Check::TeamListing => Subject::List,
        Check::Authentication | Check::UserIdentity | Check::TeamMembershipManagement => Subject::Other,
    };
    from_api(error.clone(), subject, token)
}

/// A slug that is not found, compared with those that the token reaches.
fn unreachable(evidence: &Evidence, context: &Context<'_>) -> String {
    let wanted = context.organization;
    let reachable_organizations = evidence.reachable_organizations.as_ref().and_then(Observation::value);
    match reachable_organizations.map(Vec::as_slice) {
        None => format!("buildkite answers 404 for the organization `{wanted}`"),
        Some([]) => {
            format!("the token reaches no organization: it was made for another than `{wanted}`, or removed from it")
        }
        Some(slugs) => match slugs.iter().find(|slug| slug.eq_ignore_ascii_case(wanted)) {
            Some(slug) if slug == wanted => {
                format!("buildkite answers 404 for the organization `{wanted}` although the token reaches it")
            }
            Some(slug) => format!("the organization is called `{slug}`, not `{wanted}`: the case of a slug counts"),
            None => format!(
                "the token reaches `{}`, not `{wanted}`: another organization, or a new slug",
                slugs.join("`, `")
            ),
        },
    }
}

/// Every scope that is needed and missing.
pub(crate) fn missing_scopes(token: &AccessToken, context: &Context<'_>) -> Vec<Scope> {
    let needed = |scope: &Scope| *scope != Scope::WriteTeams || context.governance.provisioning;
    Scope::ALL
        .into_iter()
        .filter(needed)
        .filter(|scope| token.lacks(*scope))
        .collect()
}

pub(crate) fn missing_scope_summary(scope: Scope) -> String {
    format!("the token lacks the scope `{scope}`")
}
