//! Errors of a call to Buildkite.

use std::time::Duration;

use http::StatusCode;

use super::endpoint::Endpoint;
use crate::governance::rate_limit::LimitExceeded;
use crate::providers::buildkite::credential::refusal::CredentialRefusal;

/// The class of an error (see [`super::response_class`] for the rules).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiErrorKind {
    /// 401: the token is missing, wrong, expired or revoked.
    #[error("buildkite rejected the api token")]
    TokenRejected,
    /// The credential signs its requests or obtains its tokens by an exchange, and is refused: nothing was executed.
    #[error("{0}")]
    CredentialRefused(CredentialRefusal),
    /// 403: a missing scope or role, the plan, or an IP policy.
    #[error("buildkite answered 403")]
    Forbidden,
    /// 404: absent, or hidden from this token.
    #[error("buildkite answered 404")]
    NotFound,
    /// 409, 422 and the other rejections of a well-formed request.
    #[error("buildkite rejected the request with {0}")]
    Rejected(StatusCode),
    /// A rate limit does not reset within the time that the call has.
    #[error("the rate limit is used up")]
    RateLimited(LimitExceeded),
    /// Buildkite or an intermediary could not respond; a retry may help.
    #[error("the request to buildkite failed: {0}")]
    Unavailable(Unavailability),
    /// A response that contradicts the documentation of Buildkite; a retry does not help.
    #[error("buildkite sent an unexpected response: {0}")]
    Unexpected(String),
    /// The deadline of the caller passed.
    #[error("the caller's deadline passed")]
    DeadlineExceeded,
    /// The call was cancelled before its write was started.
    #[error("the caller disconnected, and nothing was changed")]
    Abandoned,
}

impl ApiErrorKind {
    /// Whether the credential is not accepted.
    pub(crate) fn is_credential_rejected(&self) -> bool {
        matches!(self, Self::TokenRejected | Self::CredentialRefused(_))
    }

    /// Whether Buildkite answered the request with 401.
    pub(crate) fn is_unauthorized(&self) -> bool {
        match self {
            Self::CredentialRefused(refusal) => refusal.is_unauthorized(),
            kind => *kind == Self::TokenRejected,
        }
    }
}

/// Why there was no usable response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unavailability {
    /// 5xx or 408.
    #[error("status {0}")]
    Status(StatusCode),
    /// The host name of the API base does not resolve: nothing was sent.
    #[error("its name does not resolve ({0})")]
    Resolve(String),
    /// The connection could not be established: nothing was sent.
    #[error("no connection ({0})")]
    Connect(String),
    /// The server is not trusted, or does not support TLS: nothing was sent.
    #[error("no TLS connection ({0})")]
    Tls(String),
    /// The connection was reset after something was sent.
    #[error("the connection broke")]
    ConnectionReset,
    /// No response in time.
    #[error("no response within {}", humantime::format_duration(*.0))]
    Timeout(Duration),
    /// An HTML page: a proxy or login page responded.
    #[error("received an HTML page instead of JSON (is a proxy in between?)")]
    HtmlBody,
    /// A response of another content type: a proxy responded.
    #[error("received the content type `{0}` instead of JSON (is a proxy in between?)")]
    NotJson(String),
    /// A body that is truncated or not JSON.
    #[error("the body is truncated or not JSON")]
    TruncatedBody,
    /// No token could be exchanged: nothing was sent.
    #[error("no token could be exchanged: {cause}")]
    TokenExchange {
        /// Why the token endpoint could not respond.
        cause: Box<Unavailability>,
        /// Whether a token was in use before, which has ended.
        has_ended: bool,
    },
    /// A list whose rows changed faster than it could be read.
    #[error("the list kept changing while it was read")]
    ListUnstable,
    /// A list that repeatedly ends below the length that its responses promise.
    #[error("the list is shorter than its pages announce")]
    Short,
}

impl Unavailability {
    /// Whether the request was certainly not sent.
    pub(crate) fn is_before_sending(&self) -> bool {
        matches!(
            self,
            Self::Resolve(_) | Self::Connect(_) | Self::Tls(_) | Self::TokenExchange { .. }
        )
    }
}

/// A failed call: its endpoint, the class of the error, and the message of Buildkite.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{endpoint}: {kind}")]
pub struct ApiError {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// The class of the error.
    pub kind: ApiErrorKind,
    /// The message of Buildkite, redacted and truncated; for diagnostics only, no code depends on it.
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

    /// Whether a retry may succeed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self.kind, ApiErrorKind::Unavailable(_))
    }

    /// Whether a write may have been applied despite this error.
    #[must_use]
    pub fn may_have_applied(&self) -> bool {
        match &self.kind {
            ApiErrorKind::Unavailable(cause) => !cause.is_before_sending(),
            ApiErrorKind::Unexpected(_) | ApiErrorKind::DeadlineExceeded => true,
            _ => false,
        }
    }
}
