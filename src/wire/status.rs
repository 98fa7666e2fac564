//! The one place where trouble becomes a gRPC status: the design's error table, row by row.
//!
//! The real client repeats `Unavailable` and `DeadlineExceeded` for ever, treats `NotFound` as "skip with a warning" and gives up
//! on `ResourceExhausted` (protocol reference, section 5); the codes are chosen for what it does with them. Every status carries
//! an `ErrorInfo`, and a `RetryInfo` where waiting helps. A spent budget also carries the protocol's own
//! `RateLimitDescription`, which makes the client wait for the reset; that is why the details are encoded here.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use jiff::{RoundMode, Timestamp, TimestampRound, Unit};
use prost::{Message, Name};
use prost_types::Any;
use tokio::time::Instant;
use tonic::{Code, Status};
use tonic_types::pb;

use crate::governance::GovernanceError;
use crate::governance::rate_limit::{LimitExceeded, WINDOW};
use crate::proto::c1::connector::v2::{RateLimitDescription, rate_limit_description};

/// Whose reasons these are.
const DOMAIN: &str = "buildkite-connector";

/// How long a caller is told to wait where nothing says how long the trouble lasts.
const RETRY_DELAY: Duration = Duration::from_secs(5);

impl From<GovernanceError> for Status {
    fn from(error: GovernanceError) -> Self {
        let mut details = vec![error_info(error.reason(), metadata(&error))];
        let mut message = error.to_string();
        match &error {
            GovernanceError::RateLimited(closed) => {
                let opens_in = opens_in(closed);
                let reset_at = SystemTime::now() + opens_in;
                message = until_when(&message, opens_in, reset_at);
                details.push(retry_info(opens_in));
                details.push(rate_limit(closed, reset_at));
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

/// The codes of the table; its reasons are the error's own.
fn code(error: &GovernanceError) -> Code {
    use GovernanceError as E;
    match error {
        E::TokenRejected => Code::Unauthenticated,
        E::MissingScope { .. } | E::Forbidden { .. } => Code::PermissionDenied,
        E::ResourceNotFound { .. } => Code::NotFound,
        E::OrganizationUnreachable { .. }
        | E::TeamsUnavailable { .. }
        | E::PartialVisibility { .. }
        | E::ResourceUnreachable { .. }
        | E::UserNotInOrganization { .. }
        | E::AmbiguousPrincipal { .. }
        | E::ProvisioningDisabled
        | E::Protected { .. }
        | E::AuditUnavailable { .. }
        | E::Rejected { .. }
        | E::Unexpected { .. } => Code::FailedPrecondition,
        E::RateLimited(_) | E::Unavailable { .. } | E::ShuttingDown => Code::Unavailable,
        E::DeadlineExceeded => Code::DeadlineExceeded,
        E::Abandoned => Code::Cancelled,
        E::Invalid { .. } => Code::InvalidArgument,
    }
}

/// The status of a call whose deadline passed while it was being served.
#[must_use]
pub fn deadline_exceeded() -> Status {
    GovernanceError::DeadlineExceeded.into()
}

/// A status that the server itself ends a call with, in the same form as the connector's.
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
        GovernanceError::ResourceUnreachable { resource } | GovernanceError::ResourceNotFound { resource } => {
            (resource.resource_type.id, resource.id.to_string())
        }
        _ => return HashMap::new(),
    };
    HashMap::from([(entry.0.to_owned(), entry.1)])
}

/// What a Baton host reads as a deliberate refusal, not as a failure (protocol reference, section 5).
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

fn opens_in(closed: &LimitExceeded) -> Duration {
    closed
        .retry_at
        .map_or(WINDOW, |retry_at| retry_at.saturating_duration_since(Instant::now()))
}

/// What the client waits by: nothing remains for this lane, until an absolute moment.
fn rate_limit(closed: &LimitExceeded, reset_at: SystemTime) -> Any {
    let description = RateLimitDescription {
        status: rate_limit_description::Status::Overlimit.into(),
        limit: closed.limit.unwrap_or_default(),
        remaining: 0,
        reset_at: Some(reset_at.into()),
    };
    any(&RateLimitDescription::full_name(), &description)
}

/// The sentence about a used-up limit with the moment at which it opens again, in whole seconds and never too early.
fn until_when(message: &str, opens_in: Duration, reset_at: SystemTime) -> String {
    let whole = TimestampRound::new().smallest(Unit::Second).mode(RoundMode::Ceil);
    let Some(at) = Timestamp::try_from(reset_at).ok().and_then(|at| at.round(whole).ok()) else {
        return message.to_owned();
    };
    let seconds = opens_in.as_secs() + u64::from(opens_in.subsec_nanos() > 0);
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
        let opens_in = Duration::from_millis(ms);
        let said = until_when("wait for its reset", opens_in, SystemTime::from(now) + opens_in);
        assert_eq!(said, format!("wait for its reset, which comes at {when}"));
    }
}
