//! What one request is authorized with.

use http::HeaderValue;

use super::token::ApiToken;

/// The `authorization` header of a request, and which of the credential's headers it is.
#[derive(Debug, Clone)]
pub(crate) struct Authorization {
    header: HeaderValue,
    version: u64,
}

impl Authorization {
    /// The header for a token or a JWT that is the `version`-th of its credential; `None` if it cannot be sent.
    pub(super) fn bearer(token: &ApiToken, version: u64) -> Option<Self> {
        let header = token.authorization().ok()?;
        Some(Self { header, version })
    }

    /// The value of the header, marked sensitive.
    pub(crate) fn header(&self) -> HeaderValue {
        self.header.clone()
    }

    /// A number that no other header of the credential has.
    pub(super) fn version(&self) -> u64 {
        self.version
    }
}
