//! The findings of failed probes: one for each class of error.

use super::{missing_scope_summary, missing_scopes};
use crate::governance::GovernanceError;
use crate::governance::health::State;
use crate::providers::buildkite::health::assess::{Context, Finding};
use crate::providers::buildkite::health::check::Check;
use crate::providers::buildkite::health::evidence::{Evidence, Observation};
use crate::providers::buildkite::health::remedy;
use crate::providers::buildkite::{AccessToken, ApiError, ApiErrorKind, Subject, Unavailability, from_api};

/// The finding of a check whose request failed. Rate-limited or unreachable is unknown, never unhealthy.
pub(crate) fn finding_for_error(check: Check, error: &ApiError, evidence: &Evidence, context: &Context<'_>) -> Finding {
    let unhealthy = |summary: String, remedy: String| Finding::new(State::Unhealthy, summary, remedy);
    let unknown = |summary: String, remedy: String| Finding::new(State::Unknown, summary, remedy);
    let finding = match &error.kind {
        ApiErrorKind::TokenRejected => unhealthy(
            "buildkite rejects the token: it is wrong, expired or revoked".to_owned(),
            remedy::replace_token(context),
        ),
        ApiErrorKind::CredentialRefused(refusal) => unhealthy(refusal.to_string(), refusal.remedy()),
        ApiErrorKind::Forbidden => forbidden(check, error, evidence, context),
        ApiErrorKind::NotFound => match check {
            Check::OrganizationAccess => unhealthy(unreachable(evidence, context), remedy::organization()),
            Check::Authentication | Check::UserIdentity => unhealthy(
                "the server that answers 404 here is not buildkite's api".to_owned(),
                remedy::api_base(),
            ),
            Check::Scope(scope, _) => unhealthy(
                "buildkite answers 404 although the organization is readable".to_owned(),
                remedy::unavailable_feature(scope),
            ),
            _ => unhealthy(
                "buildkite answers 404 for this list although the organization is readable".to_owned(),
                remedy::teams(),
            ),
        },
        ApiErrorKind::Rejected(status) => {
            unhealthy(format!("buildkite refuses the request with {status}"), remedy::report())
        }
        ApiErrorKind::Unexpected(what) => {
            unhealthy(format!("the response is not as documented: {what}"), remedy::api_base())
        }
        ApiErrorKind::RateLimited(_) => unknown(
            "could not be checked: the rate limit is used up".to_owned(),
            remedy::rate_limit(),
        ),
        ApiErrorKind::DeadlineExceeded | ApiErrorKind::Abandoned => {
            unknown("not answered in time".to_owned(), remedy::outage())
        }
        // Nothing can be requested until a token is exchanged again, whatever the state of the REST API.
        ApiErrorKind::Unavailable(cause @ Unavailability::TokenExchange { has_ended: true, .. }) => {
            unhealthy(unavailable(cause), remedy::unavailable(cause))
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
            format!("buildkite forbids reading the token's own record{message}"),
            remedy::forbidden(),
        ),
        (Some(scope), Some(token)) if token.lacks(scope) => unhealthy(
            missing_scope_summary(scope),
            remedy::give_scopes(&missing_scopes(token, context), context),
        ),
        (Some(scope), Some(_)) => unhealthy(
            format!("buildkite forbids it although the token has the scope `{scope}`{message}"),
            remedy::forbidden(),
        ),
        (Some(scope), None) => unhealthy(
            format!("buildkite forbids it: the token probably lacks the scope `{scope}`"),
            remedy::give_scopes(&[scope], context),
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
        Unavailability::TokenExchange { cause, has_ended } => {
            let ended = if *has_ended { ", and the last one has ended" } else { "" };
            format!("no token could be exchanged{ended}: {}", unavailable(cause))
        }
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
        Check::Authentication
        | Check::UserIdentity
        | Check::TeamMembershipManagement
        | Check::TeamManagement
        | Check::Scope(..) => Subject::Other,
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
