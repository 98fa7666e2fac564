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
            Rejection::ShuttingDown => (Code::Unavailable, "SHUTTING_DOWN", Some(RETRY_AFTER)),
            Rejection::UnknownMethod => return Self::unimplemented(rejection.to_string()),
            Rejection::Overloaded => (Code::Unavailable, "OVERLOADED", Some(RETRY_AFTER)),
            Rejection::RateExceeded(wait) => (Code::Unavailable, "OVERLOADED", Some(wait)),
        };
        status_with_reason(code, reason, rejection.to_string(), retry)
    }
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
