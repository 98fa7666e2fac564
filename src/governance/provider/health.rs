//! The provider as the source of health: evidence from its responses, and probes for missing evidence.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::governance::GovernanceError;
use crate::governance::health::Report;
use crate::governance::provisioning::ProtectedNames;

/// The inputs of a report other than the evidence of the provider.
#[derive(Debug, Clone, Default)]
pub struct HealthContext {
    /// The time before its expiry from which a credential counts as degraded.
    pub(crate) expiry_warning: Duration,
    /// The error that prevents changes from being recorded, if any.
    pub(crate) audit_error: Option<String>,
    /// The status of the protected names, if the operator set any.
    pub(crate) protected_names: Option<ProtectedNames>,
}

/// The age from which evidence is requested again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxAge {
    /// The maximum age of a success.
    pub success: Duration,
    /// The maximum age of a failure: lower, so that a failure is not reported for long after it passed.
    pub failure: Duration,
    /// The maximum age of a response to a probe that only other integrations require.
    pub others: Duration,
}

impl MaxAge {
    /// Whether evidence of this outcome and time has to be requested again.
    #[must_use]
    pub fn is_exceeded(self, succeeded: bool, seen_at: Instant) -> bool {
        let max_age = if succeeded { self.success } else { self.failure };
        seen_at.elapsed() >= max_age
    }
}

/// A provider whose health can be reported.
#[cfg_attr(test, mockall::automock)]
#[async_trait]
pub trait HealthSource: Debug + Send + Sync {
    /// Returns a report from the evidence so far; sends no request.
    fn report(&self, context: &HealthContext) -> Report;

    /// Requests the evidence that is missing or older than `max_age`. Concurrent callers share one run.
    ///
    /// # Errors
    /// The first failure that the remaining probes depend on. A report shows it as well.
    async fn probe(&self, max_age: MaxAge, timeout: Duration) -> Result<(), GovernanceError>;

    /// Resolves after the next response that changes the evidence. Supports one listener at a time.
    async fn changed(&self);

    /// Wakes the listener of [`Self::changed`] after a change that no response shows.
    fn notifier(&self) -> Arc<Notify>;
}
