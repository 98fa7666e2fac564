//! Logs how long a sync is expected to take, and its progress: rate limits dominate the duration, so a sync that waits must not
//! look like one that hangs.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::observed_lists::Progress;
use crate::governance::Lane;
use crate::governance::provider::Provider;

/// Minimum time between two progress lines.
const MIN_LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Logs what it costs to list the grants of `resources` resources, at a minimum of `requests_each` requests per resource: one for
/// its grants, and one for each type of which it carries access.
pub(crate) fn log_forecast(provider: &dyn Provider, resources: usize, requests_each: usize) {
    let requests = u32::try_from(resources.saturating_mul(requests_each)).unwrap_or(u32::MAX);
    let Some(end) = provider.forecast(Lane::Sync, requests) else {
        tracing::info!(
            resources,
            requests,
            "sync: the resources are listed; no rate limit delays the listing of their grants"
        );
        return;
    };
    let time = end.saturating_duration_since(Instant::now());
    let limits = provider.budget().buckets;
    let windows = limits
        .iter()
        .filter_map(|bucket| bucket.limit)
        .min()
        .map(|limit| requests.div_ceil(limit.max(1)));
    tracing::info!(
        resources,
        requests,
        windows,
        minutes = time.as_secs().div_ceil(60),
        "sync: the resources are listed; listing their grants takes about {} at this rate limit",
        humantime::format_duration(Duration::from_secs(time.as_secs()))
    );
}

/// When progress was last logged.
#[derive(Debug, Default)]
pub(crate) struct ProgressLog {
    last_logged: Mutex<Option<Instant>>,
}

impl ProgressLog {
    /// Logs how many resources' grants were read, unless the last line is less than [`MIN_LOG_INTERVAL`] old. The end is always
    /// logged. The grants of each further resource cost `requests_each` requests.
    pub(crate) fn log_progress(
        &self,
        provider: &dyn Provider,
        Progress { read, resources }: Progress,
        requests_each: usize,
    ) {
        if read != resources && !self.is_due() {
            return;
        }
        let seconds_left = seconds_left(provider, (resources - read) * requests_each);
        tracing::info!(read, resources, seconds_left, "sync: grants of resources listed");
    }

    /// Logs of how many of the principals it was read what they carry of a type, as often as [`Self::log_progress`].
    pub(crate) fn log_carried(&self, provider: &dyn Provider, resource_type: &str, read: usize, principals: usize) {
        if read != principals && !self.is_due() {
            return;
        }
        let seconds_left = seconds_left(provider, principals - read);
        tracing::info!(
            resource_type,
            read,
            principals,
            seconds_left,
            "sync: access that principals carry is read"
        );
    }

    fn is_due(&self) -> bool {
        let mut last_logged = self.last_logged.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last_logged.is_none_or(|last_logged| last_logged.elapsed() >= MIN_LOG_INTERVAL);
        if due {
            *last_logged = Some(Instant::now());
        }
        due
    }
}

/// The seconds until the last of `requests` requests can be expected to be sent; `None` if no limit delays them.
fn seconds_left(provider: &dyn Provider, requests: usize) -> Option<u64> {
    let requests = u32::try_from(requests).unwrap_or(u32::MAX);
    let end = provider.forecast(Lane::Sync, requests)?;
    Some(end.saturating_duration_since(Instant::now()).as_secs())
}
