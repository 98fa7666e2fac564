//! Errors of calls to the platform.

use std::error::Error;
use std::io;

use tonic::{Code, Status};

/// Why a call to the platform failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum PlatformError {
    /// The platform's certificate is not trusted.
    #[error(
        "the platform's certificate is not trusted: check the host in the client id, or name the platform's authority with \
         --platform-ca (BUILDKITE_CONNECTOR_PLATFORM_CA)"
    )]
    Untrusted,
    /// The token endpoint rejects the client.
    #[error("{0}: check BATON_CLIENT_ID and BATON_CLIENT_SECRET, and the clock")]
    Refused(String),
    /// No token can be obtained at the moment.
    #[error("{0}")]
    Transient(String),
    /// The platform or the transport returns an error.
    #[error("{}", describe(.0))]
    Status(Box<Status>),
}

fn describe(status: &Status) -> String {
    format!("{:?}: {}", status.code(), status.message())
}

impl From<Status> for PlatformError {
    fn from(status: Status) -> Self {
        if is_untrusted(&status) {
            return Self::Untrusted;
        }
        Self::Status(Box::new(status))
    }
}

impl PlatformError {
    pub(super) fn transient(message: &str) -> Self {
        Self::Transient(message.to_owned())
    }

    /// The code of the platform's response, if there is one.
    pub(super) fn code(&self) -> Option<Code> {
        match self {
            Self::Status(status) => Some(status.code()),
            _ => None,
        }
    }

    /// Whether a hello that failed with this will always fail.
    pub(super) fn ends_hello(&self) -> bool {
        match self {
            Self::Untrusted | Self::Refused(_) => true,
            Self::Transient(_) => false,
            Self::Status(status) => matches!(
                status.code(),
                Code::Unauthenticated
                    | Code::PermissionDenied
                    | Code::InvalidArgument
                    | Code::Unimplemented
                    | Code::FailedPrecondition
                    | Code::NotFound
            ),
        }
    }

    /// Whether the platform may not have received the call: it is not reachable, or the connection was lost.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Untrusted | Self::Refused(_) => false,
            Self::Transient(_) => true,
            // A status that came over the wire has no source; one that the transport made has.
            Self::Status(status) => {
                matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded) || status.source().is_some()
            }
        }
    }
}

/// Whether the error is that the peer's certificate is not trusted.
pub(super) fn is_untrusted(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if matches!(error.downcast_ref(), Some(rustls::Error::InvalidCertificate(_))) {
            return true;
        }
        // `source` of an I/O error skips the error inside it and returns that error's own source.
        cause = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    false
}
