//! Logs how long a sync is expected to take, and its progress: rate limits dominate the duration, so a sync that waits must not
//! look like one that hangs.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::governance::Lane;
use crate::governance::provider::Provider;

/// Minimum time between two progress lines.
const MIN_LOG_INTERVAL: Duration = Duration::from_secs(10);

/// The teams are known: logs what reading the members of all of them will cost, at one request a team at least.
pub(crate) fn log_forecast(provider: &dyn Provider, teams: usize) {
    let requests = u32::try_from(teams).unwrap_or(u32::MAX);
    let Some(end) = provider.forecast(Lane::Sync, requests) else {
        tracing::info!(
            teams,
            requests,
            "sync: the teams are listed; no rate limit is in the way of their members"
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
        teams,
        requests,
        windows,
        minutes = time.as_secs().div_ceil(60),
        "sync: the teams are listed; their members take about {} at this rate limit",
        humantime::format_duration(Duration::from_secs(time.as_secs()))
    );
}

/// When progress was last logged.
#[derive(Debug, Default)]
pub(crate) struct ProgressLog {
    last_logged: Mutex<Option<Instant>>,
}

impl ProgressLog {
    /// One more team was read: logs how many of how many were, unless that was logged a moment ago.
    pub(crate) fn log_progress(&self, provider: &dyn Provider, (read, teams): (usize, usize)) {
        if read != teams && !self.is_due() {
            return;
        }
        let left = u32::try_from(teams - read).unwrap_or(u32::MAX);
        let end = provider.forecast(Lane::Sync, left);
        let seconds_left = end.map(|end| end.saturating_duration_since(Instant::now()).as_secs());
        tracing::info!(read, teams, seconds_left, "sync: members of teams read");
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
