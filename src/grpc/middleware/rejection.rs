//! The calls that the server rejects itself: for their caller, for too much load, and during shutdown.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use hyper::body::Frame;
use tonic::{Code, Status};

use crate::grpc::services::status_with_reason;

/// Retry delay for a call that is rejected for a temporary reason.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a call was not started, or a stream was ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Rejection {
    /// The call has no valid credential.
    #[error(
        "the caller is unknown: send `authorization: Bearer …` or a client certificate that the callers file knows"
    )]
    UnknownCaller,
    /// A reader called a method that needs a provisioner.
    #[error("the caller `{0}` is a reader: make it a provisioner in the callers file if it should grant and revoke")]
    NotAllowed(Arc<str>),
    /// The call names no connection, and several are possible, or none; these may be used.
    #[error("{}", connection_required(.0))]
    ConnectionRequired(Arc<str>),
    /// The call names a connection that the caller may not use, or that does not exist.
    #[error(
        "the caller may not use the connection that `connector-connection` names, or there is none of this name: name another, or list it in the caller's entry of the callers file"
    )]
    ConnectionNotAllowed,
    /// The connection was replaced by one with other settings.
    #[error("the connection has new settings: open the stream again")]
    ConnectionReplaced,
    /// The method has no row in [`crate::grpc::methods`].
    #[error("there is no such method for callers")]
    UnknownMethod,
    /// A concurrency limit is reached.
    #[error("too many calls at once: send fewer, or try again in a moment")]
    Overloaded,
    /// The caller exceeded its rate limit.
    #[error("the caller makes more calls per second than --calls-per-second allows: send fewer, or try again in {0:?}")]
    RateExceeded(Duration),
    /// The server is shutting down.
    #[error("the connector is ending: nothing was begun; try again where it runs next")]
    ShuttingDown,
}

impl From<Rejection> for Status {
    fn from(rejection: Rejection) -> Self {
        let (code, reason, retry) = match rejection {
            Rejection::UnknownCaller => (Code::Unauthenticated, "CALLER_UNKNOWN", None),
            Rejection::NotAllowed(_) => (Code::PermissionDenied, "CALLER_NOT_ALLOWED", None),
            Rejection::ConnectionRequired(_) => (Code::InvalidArgument, "CONNECTION_REQUIRED", None),
            Rejection::ConnectionNotAllowed => (Code::PermissionDenied, "CONNECTION_NOT_ALLOWED", None),
            Rejection::ConnectionReplaced => (Code::Unavailable, "CONNECTION_REPLACED", Some(RETRY_AFTER)),
            Rejection::ShuttingDown => (Code::Unavailable, "SHUTTING_DOWN", Some(RETRY_AFTER)),
            Rejection::UnknownMethod => return Self::unimplemented(rejection.to_string()),
            Rejection::Overloaded => (Code::Unavailable, "OVERLOADED", Some(RETRY_AFTER)),
            Rejection::RateExceeded(wait) => (Code::Unavailable, "OVERLOADED", Some(wait)),
        };
        status_with_reason(code, reason, rejection.to_string(), retry)
    }
}

/// The sentence that lists the connections that may be used.
fn connection_required(usable: &str) -> String {
    if usable.is_empty() {
        return "the caller may use no connection: list those that it may use as `connections` in its entry of the callers file"
            .to_owned();
    }
    format!("name a connection in the metadata key `connector-connection`: this caller may use {usable}")
}

/// Trailers that end a response with `status`.
///
/// # Errors
/// `status` itself, if it cannot be encoded as trailers.
pub(crate) fn trailers(status: &Status) -> Result<Frame<Bytes>, axum::Error> {
    let mut trailers = HeaderMap::new();
    status.add_header(&mut trailers).map_err(axum::Error::new)?;
    Ok(Frame::trailers(trailers))
}
