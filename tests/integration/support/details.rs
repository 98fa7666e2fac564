//! The content of a status: its code and every detail that the real client reads.

use std::time::Duration;

use buildkite_connector::proto::c1::connector::v2::RateLimitDescription;
use prost::{Message, Name};
use tonic::{Code, Status};
use tonic_types::{StatusExt, pb};

/// A status taken apart.
#[derive(Debug, Clone)]
pub struct StatusDetails {
    pub code: Code,
    pub reason: String,
    pub domain: String,
    pub message: String,
    /// How long to wait before asking again, where that helps.
    pub retry: Option<Duration>,
    pub rate_limit: Option<RateLimitDescription>,
    /// The request's fields that are wrong.
    pub fields: Vec<String>,
}

/// Decodes a status of the connector; each has an `ErrorInfo`.
pub fn details(status: &Status) -> StatusDetails {
    let details = status.get_error_details();
    let info = details
        .error_info()
        .unwrap_or_else(|| panic!("no ErrorInfo: {status:?}"));
    let violations = details.bad_request().map(|bad| bad.field_violations.clone());
    StatusDetails {
        code: status.code(),
        reason: info.reason.clone(),
        domain: info.domain.clone(),
        message: status.message().to_owned(),
        retry: details.retry_info().map(|retry| retry.retry_delay.unwrap_or_default()),
        rate_limit: rate_limit(status),
        fields: violations
            .unwrap_or_default()
            .into_iter()
            .map(|violation| violation.field)
            .collect(),
    }
}

/// The code and the reason alone, for an assertion in one line.
pub fn reason(status: &Status) -> (Code, String) {
    let details = details(status);
    assert_eq!(details.domain, "buildkite-connector");
    (details.code, details.reason)
}

fn rate_limit(status: &Status) -> Option<RateLimitDescription> {
    let whole = pb::Status::decode(status.details()).unwrap();
    let type_url = RateLimitDescription::type_url();
    let found = whole.details.iter().find(|detail| detail.type_url == type_url)?;
    Some(RateLimitDescription::decode(found.value.as_slice()).unwrap())
}
