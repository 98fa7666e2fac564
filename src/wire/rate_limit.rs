//! The annotations about the cost of a listing: the time spent waiting for rate limits, and the state of the windows.

use std::time::SystemTime;

use prost_types::Any;
use tokio::time::Instant;

use super::rows;
use crate::governance::{CallContext, Governance};
use crate::proto::c1::connector::v2::{RateLimitDescription, RateLimitWaitReport, rate_limit_description};

/// The annotations of a response about the cost of `call`.
pub(crate) fn usage_annotations(governance: &Governance, call: &CallContext) -> Vec<Any> {
    let waited = call.stats().waited;
    let slept = (!waited.is_zero()).then(|| {
        let wait_ms = i64::try_from(waited.as_millis()).unwrap_or(i64::MAX);
        rows::annotation(&RateLimitWaitReport { wait_ms })
    });
    slept.into_iter().chain(tightest_window(governance)).collect()
}

/// The window with the fewest remaining requests for a sync.
fn tightest_window(governance: &Governance) -> Option<Any> {
    let buckets = governance.budget().buckets;
    let tightest = buckets.iter().min_by_key(|bucket| bucket.remaining_for_sync)?;
    let reset_at = tightest
        .resets_at
        .map(|at| SystemTime::now() + at.saturating_duration_since(Instant::now()));
    let status = match tightest.remaining_for_sync {
        0 => rate_limit_description::Status::Overlimit,
        _ => rate_limit_description::Status::Ok,
    };
    Some(rows::annotation(&RateLimitDescription {
        status: status.into(),
        limit: tightest.limit.map_or(0, i64::from),
        remaining: i64::from(tightest.remaining_for_sync),
        reset_at: reset_at.map(Into::into),
    }))
}
