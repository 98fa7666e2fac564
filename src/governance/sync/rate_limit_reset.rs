//! Reads in the background that the rate limit rejects are begun again after its reset: no caller waits for them alone.

use std::time::Duration;

use tokio::time::Instant;

use crate::governance::rate_limit::LimitExceeded;
use crate::governance::{CallContext, GovernanceError};

/// Minimum delay before a list is requested again after the rate limit rejected it.
pub(super) const MIN_RETRY_DELAY: Duration = Duration::from_secs(10);

/// Waits until a read that the rate limit rejected can be begun again. The time counts as waited by `call`.
pub(super) async fn wait_for_reset(limit: &LimitExceeded, call: &CallContext) {
    let begun = Instant::now();
    let soonest = begun + MIN_RETRY_DELAY;
    tokio::time::sleep_until(limit.retry_at.map_or(soonest, |retry_at| retry_at.max(soonest))).await;
    call.record_wait_since(begun);
}

/// Runs `attempt` until the rate limit does not reject it.
///
/// # Errors
/// Any other error of `attempt`.
pub(super) async fn retry_after_resets<T, F>(call: &CallContext, attempt: impl Fn() -> F) -> Result<T, GovernanceError>
where
    F: Future<Output = Result<T, GovernanceError>>,
{
    loop {
        match attempt().await {
            Err(GovernanceError::RateLimited(limit)) => wait_for_reset(&limit, call).await,
            outcome => return outcome,
        }
    }
}
