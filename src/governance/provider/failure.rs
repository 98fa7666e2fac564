//! A request that failed, before it is explained.

use crate::governance::GovernanceError;

/// The class of a failure, as far as governance acts on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureClass {
    /// The provider rejects the credential.
    TokenRejected,
    /// The credential or its owner may not do it.
    Forbidden,
    /// The resource is absent, or hidden.
    NotFound,
    /// The provider refuses a well-formed request.
    Rejected,
    /// The provider could not be reached, and nothing was sent.
    NotSent,
    /// The provider could not respond usably; a write may have been applied.
    Unavailable,
    /// The response contradicts the provider's documentation; a write may have been applied.
    Unexpected,
    /// The caller's deadline passed; a write may have been applied.
    DeadlineExceeded,
    /// A rate limit, or a caller that is gone: nothing was sent.
    Other,
}

/// A failed request. [`super::ResourceType::explain`] finds out more about it, by further requests; a failure that nobody waits
/// for is never explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The class.
    pub class: FailureClass,
    /// The scope that the request needs, if any.
    pub scope: Option<&'static str>,
    /// The error as it stands without an explanation.
    pub error: GovernanceError,
}

impl Failure {
    /// Whether a retry may succeed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self.class, FailureClass::NotSent | FailureClass::Unavailable)
    }

    /// Whether a write may have been applied despite the failure.
    #[must_use]
    pub fn may_have_applied(&self) -> bool {
        matches!(
            self.class,
            FailureClass::Unavailable | FailureClass::Unexpected | FailureClass::DeadlineExceeded
        )
    }
}

impl From<GovernanceError> for Failure {
    /// A failure that needs no explanation.
    fn from(error: GovernanceError) -> Self {
        let class = match &error {
            GovernanceError::Unexpected { .. } => FailureClass::Unexpected,
            GovernanceError::Unavailable { .. } => FailureClass::Unavailable,
            GovernanceError::DeadlineExceeded => FailureClass::DeadlineExceeded,
            _ => FailureClass::Other,
        };
        Self {
            class,
            scope: None,
            error,
        }
    }
}
