//! A failed request, before its cause is looked up.

use crate::governance::GovernanceError;

/// The class of a failure: the distinctions that governance acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureClass {
    /// The provider rejects the credential.
    TokenRejected,
    /// The credential or its owner lacks the permission.
    Forbidden,
    /// The resource is absent, or hidden.
    NotFound,
    /// The provider rejects a well-formed request.
    Rejected,
    /// The provider could not be reached, and nothing was sent.
    NotSent,
    /// The provider could not respond usably; a write may have been applied.
    Unavailable,
    /// The response contradicts the provider's documentation; a write may have been applied.
    Unexpected,
    /// The caller's deadline passed; a write may have been applied.
    DeadlineExceeded,
    /// A rate limit, or a caller that disconnected: nothing was sent.
    Other,
}

/// A failed request. [`super::ResourceType::explain`] sends further requests to find the cause, and only for a caller that still
/// waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The class.
    pub class: FailureClass,
    /// The scope that the request needs, if any.
    pub scope: Option<&'static str>,
    /// The error without an explanation.
    pub error: GovernanceError,
}

impl Failure {
    /// Whether a retry may succeed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self.class, FailureClass::NotSent | FailureClass::Unavailable)
    }

    /// The failure of a read that a write begins with: nothing was sent that could have been applied.
    #[must_use]
    pub fn before_the_write(mut self) -> Self {
        self.class = match self.class {
            FailureClass::Unavailable => FailureClass::NotSent,
            FailureClass::Unexpected | FailureClass::DeadlineExceeded => FailureClass::Other,
            class => class,
        };
        self
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
