//! From evidence to a verdict: a pure function of what was seen, so that every sentence can be read and tested here.

use std::time::Duration;

use jiff::Timestamp;

use super::super::{AccessError, OwnerRole, PartialVisibility};
use super::observed::{Evidence, Seen};
use super::remedy;
use super::table::{Check, State};
use crate::buildkite::{AccessToken, ApiError, Cause, Scope, Trouble, timestamp};

/// How one check stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Which check.
    pub check: Check,
    /// How it stands.
    pub state: State,
    /// One sentence about it.
    pub summary: String,
    /// One sentence about what to do; empty where there is nothing to do.
    pub remedy: String,
    /// When it was seen, where it was.
    pub checked_at: Option<Timestamp>,
    /// How long the answer took.
    pub latency: Option<Duration>,
    /// The failure behind it, as a call would end with it.
    pub error: Option<AccessError>,
}

/// What a verdict depends on beside evidence.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) organization: String,
    pub(crate) provisioning: bool,
    pub(crate) partial_visibility: PartialVisibility,
    pub(crate) expiry_warning: Duration,
    pub(crate) now: Timestamp,
}

/// A state with its two sentences.
type Told = (State, String, String);

pub(crate) fn verdict(check: Check, evidence: &Evidence, context: &Context) -> Verdict {
    match check {
        Check::Authentication => judge(check, evidence.token.as_ref(), evidence, context, |token| {
            expiry(token, context)
        }),
        Check::UserIdentity => judge(check, evidence.user.as_ref(), evidence, context, |owner| {
            let who = owner
                .email
                .as_deref()
                .or(owner.name.as_deref())
                .unwrap_or("a user without a name");
            healthy(format!("the token belongs to {who}"))
        }),
        Check::OrganizationAccess => judge(
            check,
            evidence.organization.as_ref(),
            evidence,
            context,
            |organization| healthy(format!("the token reaches {}", organization.slug)),
        ),
        Check::OrganizationMemberListing => judge(check, evidence.people.as_ref(), evidence, context, |()| {
            healthy("people can be listed")
        }),
        Check::TeamListing => judge(check, evidence.teams.as_ref(), evidence, context, |()| {
            visibility(evidence, context)
        }),
        Check::TeamMembershipManagement => management(evidence, context),
    }
}

fn judge<T>(
    check: Check,
    seen: Option<&Seen<T>>,
    evidence: &Evidence,
    context: &Context,
    works: impl FnOnce(&T) -> Told,
) -> Verdict {
    let rejected = evidence.rejected.filter(|_| check != Check::Authentication);
    let (told, error) = match seen {
        _ if rejected.is_some() => (unknown("not asked, because the token is rejected", ""), None),
        None if organization_is_missing(evidence) => {
            (unknown("not asked, because the organization is not found", ""), None)
        }
        None => (
            unknown("not asked yet", "ask with `fresh`, or wait for the next check"),
            None,
        ),
        Some(Seen { outcome: Ok(value), .. }) => (works(value), None),
        Some(Seen {
            outcome: Err(error), ..
        }) => {
            let token = evidence.token.as_ref().and_then(|seen| seen.outcome.as_ref().ok());
            (
                failed(check, error, evidence, context),
                Some(meaning(check, error, token, context)),
            )
        }
    };
    let error = match told.0 {
        State::Unhealthy if error.is_none() => Some(partial_view(evidence)),
        _ => error,
    };
    let (state, summary, remedy) = told;
    let (checked_at, latency) = seen.map(|seen| (seen.at, seen.latency)).unzip();
    Verdict {
        check,
        state,
        summary,
        remedy,
        checked_at,
        latency,
        error,
    }
}

/// Writes are never made to find out: the token's scopes and the owner's role tell.
fn management(evidence: &Evidence, context: &Context) -> Verdict {
    let check = Check::TeamMembershipManagement;
    if !context.provisioning {
        return Verdict {
            check,
            state: State::NotRequired,
            summary: "writes are off".to_owned(),
            remedy: String::new(),
            checked_at: None,
            latency: None,
            error: None,
        };
    }
    let missing = AccessError::MissingScope {
        scope: Scope::WriteTeams,
        call: crate::buildkite::Endpoint::AddMember(uuid::Uuid::nil().into()),
    };
    let mut verdict = judge(check, evidence.token.as_ref(), evidence, context, |token| {
        if lacks(token, Scope::WriteTeams) {
            return (
                State::Unhealthy,
                lacking(Scope::WriteTeams),
                remedy::tick(&missing_scopes(token, context), context.provisioning),
            );
        }
        match owner_role(evidence) {
            Some(OwnerRole::Member) => (
                State::Degraded,
                "the token's owner is no organization admin: only teams they maintain can be changed".to_owned(),
                remedy::admin_owner(),
            ),
            Some(OwnerRole::Admin) => healthy("team members can be changed"),
            Some(OwnerRole::Unknown) | None => {
                healthy("the token may change team members (the owner's organization role is not told)")
            }
        }
    });
    if verdict.state == State::Unhealthy {
        verdict.error = Some(missing);
    }
    verdict
}

fn expiry(token: &AccessToken, context: &Context) -> Told {
    let Some(text) = token.expires_at.as_deref() else {
        return healthy("the token is accepted and never expires");
    };
    let Some(expires_at) = timestamp(text) else {
        return healthy(format!("the token is accepted (its expiry `{text}` cannot be read)"));
    };
    let left = Duration::try_from(expires_at.duration_since(context.now)).unwrap_or_default();
    if left < context.expiry_warning {
        let when = humantime::format_duration(Duration::from_secs(left.as_secs() / 60 * 60));
        let summary = format!("the token is accepted and expires in {when} ({expires_at})");
        return (State::Degraded, summary, remedy::replace_token(context.provisioning));
    }
    healthy(format!("the token is accepted until {expires_at}"))
}

fn visibility(evidence: &Evidence, context: &Context) -> Told {
    match (owner_role(evidence), context.partial_visibility) {
        (Some(OwnerRole::Member), PartialVisibility::Refuse) => (
            State::Unhealthy,
            "the token's owner is no organization admin and is not shown secret teams, so team listings are refused"
                .to_owned(),
            format!("{}, or set --partial-visibility allow", remedy::admin_owner()),
        ),
        (Some(OwnerRole::Member), PartialVisibility::Allow) => (
            State::Degraded,
            "teams can be listed, without the secret ones: the token's owner is no organization admin".to_owned(),
            remedy::admin_owner(),
        ),
        (Some(OwnerRole::Admin), _) => healthy("teams can be listed, all of them"),
        (Some(OwnerRole::Unknown) | None, _) => {
            healthy("teams can be listed (the owner's organization role is not told, and is treated as admin)")
        }
    }
}

fn owner_role(evidence: &Evidence) -> Option<OwnerRole> {
    evidence
        .owner_role
        .as_ref()
        .and_then(|seen| seen.outcome.as_ref().ok())
        .copied()
}

fn partial_view(evidence: &Evidence) -> AccessError {
    let owner = evidence.user.as_ref().and_then(|seen| seen.outcome.as_ref().ok());
    let owner = owner.and_then(|owner| owner.email.clone().or_else(|| owner.name.clone()));
    AccessError::PartialVisibility {
        owner: owner.unwrap_or_else(|| "(unknown)".to_owned()),
    }
}

/// What failed, in a sentence of its own for each way of failing.
fn failed(check: Check, error: &ApiError, evidence: &Evidence, context: &Context) -> Told {
    let scope = check.row().scope;
    let token = evidence.token.as_ref().and_then(|seen| seen.outcome.as_ref().ok());
    match &error.trouble {
        Trouble::TokenRejected => unhealthy(
            "buildkite rejects the token: it is wrong, expired or revoked",
            remedy::replace_token(context.provisioning),
        ),
        Trouble::Forbidden => match (scope, token) {
            (Some(scope), Some(token)) if lacks(token, scope) => unhealthy(
                lacking(scope),
                remedy::tick(&missing_scopes(token, context), context.provisioning),
            ),
            (Some(scope), None) => unhealthy(
                format!("buildkite forbids it; the token probably lacks the scope `{scope}`"),
                remedy::tick(&[scope], context.provisioning),
            ),
            _ => unhealthy(
                "buildkite forbids it although the token has the scope",
                remedy::forbidden(),
            ),
        },
        Trouble::NotFound if check == Check::OrganizationAccess => {
            unhealthy(unreachable(evidence, context), remedy::organization())
        }
        Trouble::NotFound => unhealthy("buildkite answers 404 for this list", remedy::teams()),
        Trouble::Rejected(status) => {
            unhealthy(format!("buildkite refuses the request with {status}"), remedy::report())
        }
        Trouble::Unexpected(what) => unhealthy(
            format!("an answer that is not Buildkite's came back: {what}"),
            remedy::api_base(),
        ),
        Trouble::RateLimited(_) => unknown(
            "not asked: the rate limit is used up",
            "wait for its reset, a minute at most",
        ),
        Trouble::DeadlineExceeded | Trouble::Abandoned => unknown("not answered in time", "ask again"),
        Trouble::Unavailable(cause) => unknown(
            format!("buildkite could not be asked: {cause}"),
            match cause {
                Cause::Html | Cause::CutShort => remedy::api_base(),
                Cause::Connect(_) | Cause::Broken => remedy::network(),
                Cause::Status(_) | Cause::Silent(_) | Cause::Moving => remedy::outage(),
            },
        ),
    }
}

/// The same failure as the error that a call would end with.
fn meaning(check: Check, error: &ApiError, token: Option<&AccessToken>, context: &Context) -> AccessError {
    match (&error.trouble, error.endpoint.scope(), token) {
        (Trouble::NotFound, ..) if check == Check::OrganizationAccess => AccessError::OrganizationUnreachable {
            organization: context.organization.clone(),
        },
        (Trouble::NotFound, ..) => AccessError::TeamsUnavailable { call: error.endpoint },
        (Trouble::Forbidden, Some(scope), Some(token)) if lacks(token, scope) => AccessError::MissingScope {
            scope,
            call: error.endpoint,
        },
        _ => AccessError::plain(error.clone()),
    }
}

/// A slug that is not found, compared with those that the token reaches.
fn unreachable(evidence: &Evidence, context: &Context) -> String {
    let wanted = &context.organization;
    let reached = evidence.reached.as_ref().and_then(|seen| seen.outcome.as_ref().ok());
    match reached.map(Vec::as_slice) {
        None => format!("buildkite answers 404 for the organization `{wanted}`"),
        Some([]) => {
            format!("the token reaches no organization: it was made for another than `{wanted}`, or removed from it")
        }
        Some(slugs) => match slugs.iter().find(|slug| slug.eq_ignore_ascii_case(wanted)) {
            Some(slug) => format!("the organization is called `{slug}`, not `{wanted}`: the case of a slug counts"),
            None => format!(
                "the token reaches `{}`, not `{wanted}`: another organization, or a new slug",
                slugs.join("`, `")
            ),
        },
    }
}

fn lacks(token: &AccessToken, scope: Scope) -> bool {
    !token.scopes.iter().any(|granted| granted == scope.as_str())
}

/// Every scope that is needed and missing.
fn missing_scopes(token: &AccessToken, context: &Context) -> Vec<Scope> {
    let needed = |scope: &Scope| *scope != Scope::WriteTeams || context.provisioning;
    Scope::ALL
        .into_iter()
        .filter(needed)
        .filter(|scope| lacks(token, *scope))
        .collect()
}

fn organization_is_missing(evidence: &Evidence) -> bool {
    let outcome = evidence.organization.as_ref().map(|seen| &seen.outcome);
    matches!(
        outcome,
        Some(Err(ApiError {
            trouble: Trouble::NotFound,
            ..
        }))
    )
}

fn lacking(scope: Scope) -> String {
    format!("the token lacks the scope `{scope}`")
}

fn healthy(summary: impl Into<String>) -> Told {
    (State::Healthy, summary.into(), String::new())
}

fn unhealthy(summary: impl Into<String>, remedy: impl Into<String>) -> Told {
    (State::Unhealthy, summary.into(), remedy.into())
}

fn unknown(summary: impl Into<String>, remedy: impl Into<String>) -> Told {
    (State::Unknown, summary.into(), remedy.into())
}
