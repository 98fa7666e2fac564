//! What can go wrong between us and Buildkite: one error, holding one class of trouble.

use std::time::Duration;

use http::StatusCode;

use super::endpoint::Endpoint;
use crate::providers::buildkite::budget::LimitExceeded;

/// The class that an outcome falls into (see [`super::classify`] for which does).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiErrorKind {
    /// 401: the token is missing, wrong, expired or revoked.
    #[error("buildkite rejected the api token")]
    TokenRejected,
    /// 403: a scope, a role, a plan or an IP policy.
    #[error("buildkite answered 403")]
    Forbidden,
    /// 404: absent, or hidden from this token.
    #[error("buildkite answered 404")]
    NotFound,
    /// 409, 422 and the other refusals of a request that was understood.
    #[error("buildkite refused with {0}")]
    Rejected(StatusCode),
    /// A rate limit leaves no room within the time that the call has.
    #[error("the rate limit is used up")]
    RateLimited(LimitExceeded),
    /// Buildkite, or something on the way, could not answer; asking again may help.
    #[error("buildkite could not be asked: {0}")]
    Unavailable(Unavailability),
    /// An answer that says something else than Buildkite's documentation; asking again will not help.
    #[error("buildkite answered something unexpected: {0}")]
    Unexpected(String),
    /// The caller's own deadline passed.
    #[error("the caller's deadline passed")]
    DeadlineExceeded,
    /// Whoever asked for a write is gone, and it was not begun.
    #[error("the caller is gone, and nothing was changed")]
    Abandoned,
}

/// Why there was no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unavailability {
    /// 5xx or 408.
    #[error("status {0}")]
    Status(StatusCode),
    /// The API base's name is unknown to this machine: nothing was sent.
    #[error("its name does not resolve ({0})")]
    Resolve(String),
    /// No connection was made: nothing was sent.
    #[error("no connection ({0})")]
    Connect(String),
    /// The other side could not be trusted, or speaks no TLS: nothing was sent.
    #[error("no TLS connection ({0})")]
    Tls(String),
    /// The connection broke after something was sent.
    #[error("the connection broke")]
    ConnectionReset,
    /// Nothing came in time.
    #[error("no answer within {}", humantime::format_duration(*.0))]
    Timeout(Duration),
    /// A page for people: a proxy or a login wall speaks.
    #[error("an HTML page came where JSON was expected (is a proxy in between?)")]
    HtmlBody,
    /// An answer that is declared as something other than JSON: a proxy speaks.
    #[error("an answer of type `{0}` came where JSON was expected (is a proxy in between?)")]
    NotJson(String),
    /// A body that ends too early or is no JSON.
    #[error("the body was cut short or is no JSON")]
    TruncatedBody,
    /// A list whose rows moved faster than it could be read.
    #[error("the list kept changing while it was read")]
    ListUnstable,
    /// A list that ends before the extent that its answers promised, however often it is read.
    #[error("the list ends before the length that its pages name")]
    Short,
}

impl Unavailability {
    /// Whether certainly nothing was sent.
    pub(crate) fn is_before_sending(&self) -> bool {
        matches!(self, Self::Resolve(_) | Self::Connect(_) | Self::Tls(_))
    }
}

/// A failed call: which one, how, and what Buildkite said.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{endpoint}: {kind}")]
pub struct ApiError {
    /// What was called.
    pub endpoint: Endpoint,
    /// The class of what went wrong.
    pub kind: ApiErrorKind,
    /// Buildkite's own words, redacted and bounded; diagnostics only, nothing branches on them.
    pub message: Option<String>,
}

impl ApiError {
    pub(crate) fn new(endpoint: Endpoint, kind: ApiErrorKind) -> Self {
        Self {
            endpoint,
            kind,
            message: None,
        }
    }

    /// Whether the same call may succeed a moment later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self.kind, ApiErrorKind::Unavailable(_))
    }

    /// Whether a write may have been applied although this was its outcome.
    #[must_use]
    pub fn may_have_applied(&self) -> bool {
        match &self.kind {
            ApiErrorKind::Unavailable(cause) => !cause.is_before_sending(),
            ApiErrorKind::Unexpected(_) | ApiErrorKind::DeadlineExceeded => true,
            _ => false,
        }
    }
}
