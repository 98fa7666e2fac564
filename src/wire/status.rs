//! The one place where an error becomes a gRPC status: the design's error table, row by row.
//!
//! The Baton SDK's client retries `Unavailable` and `DeadlineExceeded` without end, skips `NotFound` with a warning and gives up on
//! `ResourceExhausted` (protocol reference, section 5). The codes are chosen for this behaviour. Every status has an `ErrorInfo`,
//! and a `RetryInfo` if a retry can help. An exceeded rate limit also has the protocol's own `RateLimitDescription`, which makes the
//! client wait for the reset; no library encodes it, so the details are encoded here.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use jiff::{RoundMode, Timestamp, TimestampRound, Unit};
use prost::{Message, Name};
use prost_types::Any;
use tokio::time::Instant;
use tonic::{Code, Status};
use tonic_types::pb;

use crate::governance::rate_limit::{LimitExceeded, WINDOW};
use crate::governance::{GovernanceError, RefusedCredential};
use crate::proto::c1::connector::v2::{RateLimitDescription, rate_limit_description};

/// The domain of the reasons.
const DOMAIN: &str = "buildkite-connector";

/// The retry delay for an error of unknown duration.
const RETRY_DELAY: Duration = Duration::from_secs(5);

impl From<GovernanceError> for Status {
    fn from(error: GovernanceError) -> Self {
        let mut details = vec![error_info(error.reason(), metadata(&error))];
        let mut message = error.to_string();
        match &error {
            GovernanceError::RateLimited(limit) => {
                let retry_after = retry_after(limit);
                let reset_at = SystemTime::now() + retry_after;
                message = with_reset_time(&message, retry_after, reset_at);
                details.push(retry_info(retry_after));
                details.push(rate_limit(limit, reset_at));
            }
            GovernanceError::Unavailable { .. } | GovernanceError::ShuttingDown => {
                details.push(retry_info(RETRY_DELAY));
            }
            GovernanceError::Invalid { field, problem } => details.push(bad_request(field, problem)),
            GovernanceError::Protected { guard } => details.push(intended_decline(guard)),
            _ => {}
        }
        with_details(code(&error), message, details)
    }
}

/// The code of an error. Its reason is [`GovernanceError::reason`].
fn code(error: &GovernanceError) -> Code {
    use GovernanceError as E;
    match error {
        E::TokenRejected => Code::Unauthenticated,
        E::CredentialRefused { meaning, .. } => match meaning {
            RefusedCredential::Rejected => Code::Unauthenticated,
            RefusedCredential::MissingScope(_) => Code::PermissionDenied,
            RefusedCredential::OrganizationUnreachable | RefusedCredential::Unexpected => Code::FailedPrecondition,
        },
        E::MissingScope { .. } | E::Forbidden { .. } => Code::PermissionDenied,
        E::ResourceNotFound { .. } | E::ActionNotFound { .. } => Code::NotFound,
        E::OrganizationUnreachable { .. }
        | E::ListUnavailable { .. }
        | E::PartialVisibility { .. }
        | E::ResourceUnreachable { .. }
        | E::UserNotInOrganization { .. }
        | E::AmbiguousPrincipal { .. }
        | E::ProvisioningDisabled { .. }
        | E::Protected { .. }
        | E::LimitReached { .. }
        | E::EmailUnknown { .. }
        | E::InvitationAccepted { .. }
        | E::AuditUnavailable { .. }
        | E::Rejected { .. }
        | E::RequestKeyReused { .. }
        | E::TooLarge { .. }
        | E::Unexpected { .. } => Code::FailedPrecondition,
        E::RateLimited(_) | E::Unavailable { .. } | E::ShuttingDown => Code::Unavailable,
        E::DeadlineExceeded => Code::DeadlineExceeded,
        E::Abandoned => Code::Cancelled,
        E::Invalid { .. } => Code::InvalidArgument,
        E::NotOffered { .. } => Code::Unimplemented,
    }
}

/// The status of a call whose deadline passed while it was being served.
#[must_use]
pub fn deadline_exceeded() -> Status {
    GovernanceError::DeadlineExceeded.into()
}

/// A status of the server itself, in the same form as that of an error of governance.
#[must_use]
pub fn status_with_reason(code: Code, reason: &str, message: String, retry: Option<Duration>) -> Status {
    let info = error_info(reason, HashMap::new());
    with_details(
        code,
        message,
        std::iter::once(info).chain(retry.map(retry_info)).collect(),
    )
}

fn with_details(code: Code, message: String, details: Vec<Any>) -> Status {
    let status = pb::Status {
        code: code.into(),
        message: message.clone(),
        details,
    };
    Status::with_details(code, message, status.encode_to_vec().into())
}

fn any(type_name: &str, message: &impl Message) -> Any {
    Any {
        type_url: format!("type.googleapis.com/{type_name}"),
        value: message.encode_to_vec(),
    }
}

fn error_info(reason: &str, metadata: HashMap<String, String>) -> Any {
    let (reason, domain) = (reason.to_owned(), DOMAIN.to_owned());
    any(
        "google.rpc.ErrorInfo",
        &pb::ErrorInfo {
            reason,
            domain,
            metadata,
        },
    )
}

fn metadata(error: &GovernanceError) -> HashMap<String, String> {
    let entry = match error {
        GovernanceError::MissingScope { scope, .. } => ("scope", (*scope).to_owned()),
        GovernanceError::CredentialRefused {
            meaning: RefusedCredential::MissingScope(scopes),
            ..
        } => ("scope", scopes.clone()),
        GovernanceError::ResourceUnreachable { resource } | GovernanceError::ResourceNotFound { resource } => {
            (resource.resource_type.id, resource.id.to_string())
        }
        _ => return HashMap::new(),
    };
    HashMap::from([(entry.0.to_owned(), entry.1)])
}

/// The detail that a Baton host treats as a deliberate refusal instead of a failure (protocol reference, section 5).
fn intended_decline(guard: &str) -> Any {
    any(
        "google.rpc.ErrorInfo",
        &pb::ErrorInfo {
            reason: "grant_cancelled".to_owned(),
            domain: "github.com/conductorone/baton-sdk".to_owned(),
            metadata: HashMap::from([("reason".to_owned(), guard.to_owned())]),
        },
    )
}

fn retry_info(delay: Duration) -> Any {
    let retry_delay = prost_types::Duration::try_from(delay).ok();
    any("google.rpc.RetryInfo", &pb::RetryInfo { retry_delay })
}

fn bad_request(field: &str, problem: &str) -> Any {
    let violation = pb::bad_request::FieldViolation {
        field: field.to_owned(),
        description: problem.to_owned(),
        ..Default::default()
    };
    any(
        "google.rpc.BadRequest",
        &pb::BadRequest {
            field_violations: vec![violation],
        },
    )
}

fn retry_after(limit: &LimitExceeded) -> Duration {
    limit
        .retry_at
        .map_or(WINDOW, |retry_at| retry_at.saturating_duration_since(Instant::now()))
}

/// The detail that makes the client wait: no requests remain for this lane until `reset_at`.
fn rate_limit(limit: &LimitExceeded, reset_at: SystemTime) -> Any {
    let description = RateLimitDescription {
        status: rate_limit_description::Status::Overlimit.into(),
        limit: limit.limit.unwrap_or_default(),
        remaining: 0,
        reset_at: Some(reset_at.into()),
    };
    any(&RateLimitDescription::full_name(), &description)
}

/// Adds the time of the reset to the message about an exceeded limit, rounded up to whole seconds so that it is never too early.
fn with_reset_time(message: &str, retry_after: Duration, reset_at: SystemTime) -> String {
    let whole = TimestampRound::new().smallest(Unit::Second).mode(RoundMode::Ceil);
    let Some(at) = Timestamp::try_from(reset_at).ok().and_then(|at| at.round(whole).ok()) else {
        return message.to_owned();
    };
    let seconds = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
    format!("{message}, which comes at {at}, in {seconds} s")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(14_000, "2026-11-24T12:03:14Z, in 14 s")]
    #[case(14_001, "2026-11-24T12:03:15Z, in 15 s")]
    #[case(0, "2026-11-24T12:03:00Z, in 0 s")]
    fn a_used_up_limit_says_when_it_opens_again_and_never_too_early(#[case] ms: u64, #[case] when: &str) {
        let now: Timestamp = "2026-11-24T12:03:00Z".parse().unwrap();
        let retry_after = Duration::from_millis(ms);
        let said = with_reset_time("wait for its reset", retry_after, SystemTime::from(now) + retry_after);
        assert_eq!(said, format!("wait for its reset, which comes at {when}"));
    }
}
