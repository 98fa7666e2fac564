//! What the server itself refuses, before or beside what the connector would say: the design's rows about callers, too much at
//! once, and the end.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use hyper::body::Frame;
use tonic::{Code, Status};

use crate::grpc::services::status_with_reason;

/// When somebody who is turned away for the moment may come back.
const COME_BACK: Duration = Duration::from_secs(1);

/// Why a call was not begun.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// Nothing proved who calls.
    #[error(
        "the caller is unknown: send `authorization: Bearer …` or a client certificate that the callers file knows"
    )]
    Unknown,
    /// A reader wanted to change something.
    #[error("the caller `{0}` is a reader: make it a provisioner in the callers file if it should grant and revoke")]
    NotAllowed(Arc<str>),
    /// A method that the table of rules does not have.
    #[error("there is no such method for callers")]
    NoRule,
    /// Too many calls at once.
    #[error("too many calls at once: send fewer, or try again in a moment")]
    Overloaded,
    /// More calls per second than one caller may make.
    #[error("the caller makes more calls per second than --calls-per-second allows: send fewer, or try again in {0:?}")]
    RateExceeded(Duration),
    /// The process was told to end.
    #[error("the connector is ending: nothing was begun; try again where it runs next")]
    Ending,
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let (code, reason, retry) = match refusal {
            Refusal::Unknown => (Code::Unauthenticated, "CALLER_UNKNOWN", None),
            Refusal::NotAllowed(_) => (Code::PermissionDenied, "CALLER_NOT_ALLOWED", None),
            Refusal::Ending => (Code::Unavailable, "SHUTTING_DOWN", Some(COME_BACK)),
            Refusal::NoRule => return Self::unimplemented(refusal.to_string()),
            Refusal::Overloaded => (Code::Unavailable, "OVERLOADED", Some(COME_BACK)),
            Refusal::RateExceeded(wait) => (Code::Unavailable, "OVERLOADED", Some(wait)),
        };
        status_with_reason(code, reason, refusal.to_string(), retry)
    }
}

/// The trailers that end a response with `status`.
///
/// # Errors
/// `status` itself, where it does not fit into trailers.
pub(crate) fn trailers(status: &Status) -> Result<Frame<Bytes>, Status> {
    let mut trailers = HeaderMap::new();
    status.add_header(&mut trailers)?;
    Ok(Frame::trailers(trailers))
}
