//! What failed, in a sentence, a remedy and an error of its own for each way of failing.

use super::assess::{Context, Told};
use super::check::{Check, State};
use super::evidence::{Evidence, Seen};
use super::remedy;
use crate::governance::GovernanceError;
use crate::providers::buildkite::{AccessToken, ApiError, ApiErrorKind, Scope, Unavailability};

/// What a failed call says of the check that it is evidence for. Rate-limited or unreachable is unknown, never unhealthy.
pub(crate) fn told(check: Check, error: &ApiError, evidence: &Evidence, context: &Context) -> Told {
    let unhealthy = |summary: String, remedy: String| Told::new(State::Unhealthy, summary, remedy);
    let unknown = |summary: String, remedy: String| Told::new(State::Unknown, summary, remedy);
    let told = match &error.kind {
        ApiErrorKind::TokenRejected => unhealthy(
            "buildkite rejects the token: it is wrong, expired or revoked".to_owned(),
            remedy::replace_token(context.provisioning),
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
    told.because_of(meaning(check, error, evidence.token(), context))
}

/// What to do about a check that failed; for those that depend on it.
pub(crate) fn remedy_of(cause: Check, evidence: &Evidence, context: &Context) -> String {
    let rejected = || evidence.rejected.as_ref().and_then(Seen::error);
    let token = || evidence.token.as_ref().and_then(Seen::error);
    let error = if cause == Check::OrganizationAccess {
        evidence.organization.as_ref().and_then(Seen::error)
    } else {
        rejected().or_else(token)
    };
    error.map_or_else(String::new, |error| told(cause, error, evidence, context).remedy)
}

/// A scope is named by the token's own list where that is known, else by the call that failed.
fn forbidden(check: Check, error: &ApiError, evidence: &Evidence, context: &Context) -> Told {
    let unhealthy = |summary: String, remedy: String| Told::new(State::Unhealthy, summary, remedy);
    let words = error.message.as_ref().map(|words| format!(" (\"{words}\")"));
    let words = words.unwrap_or_default();
    match (check.row().scope, evidence.token()) {
        (None, _) => unhealthy(
            format!("buildkite forbids to read the token's own record{words}"),
            remedy::forbidden(),
        ),
        (Some(scope), Some(token)) if token.lacks(scope) => unhealthy(
            lacking(scope),
            remedy::tick(&missing_scopes(token, context), context.provisioning),
        ),
        (Some(scope), Some(_)) => unhealthy(
            format!("buildkite forbids it although the token has the scope `{scope}`{words}"),
            remedy::forbidden(),
        ),
        (Some(scope), None) => unhealthy(
            format!("buildkite forbids it: the token probably lacks the scope `{scope}`"),
            remedy::tick(&[scope], context.provisioning),
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
        // How long was waited differs from asking to asking.
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

/// The same failure as the error that a call would end with.
fn meaning(check: Check, error: &ApiError, token: Option<&AccessToken>, context: &Context) -> GovernanceError {
    match (&error.kind, check) {
        (ApiErrorKind::NotFound, Check::OrganizationAccess) => GovernanceError::OrganizationUnreachable {
            organization: context.organization.clone(),
        },
        (ApiErrorKind::NotFound, Check::OrganizationMemberListing | Check::TeamListing) => {
            GovernanceError::TeamsUnavailable { call: error.endpoint }
        }
        (ApiErrorKind::Forbidden, _) => GovernanceError::forbidden(error.clone(), token),
        _ => GovernanceError::plain(error.clone()),
    }
}

/// A slug that is not found, compared with those that the token reaches.
fn unreachable(evidence: &Evidence, context: &Context) -> String {
    let wanted = &context.organization;
    let reached = evidence.reached.as_ref().and_then(Seen::value);
    match reached.map(Vec::as_slice) {
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
pub(crate) fn missing_scopes(token: &AccessToken, context: &Context) -> Vec<Scope> {
    let needed = |scope: &Scope| *scope != Scope::WriteTeams || context.provisioning;
    Scope::ALL
        .into_iter()
        .filter(needed)
        .filter(|scope| token.lacks(*scope))
        .collect()
}

pub(crate) fn lacking(scope: Scope) -> String {
    format!("the token lacks the scope `{scope}`")
}
