//! Tells the log how long a sync will take, and how far it is: a sync's time is made of rate limits, and whoever watches one
//! wonders whether it hangs.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::governance::Governance;
use crate::providers::buildkite::Lane;

/// Progress is told at most this often.
const EVERY: Duration = Duration::from_secs(10);

/// When progress was last told.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    told: Mutex<Option<Instant>>,
}

impl Progress {
    fn is_due(&self) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let due = told.is_none_or(|told| told.elapsed() >= EVERY);
        if due {
            *told = Some(Instant::now());
        }
        due
    }
}

impl Governance {
    /// The teams are known: what the members of all of them will cost, at one request a team at least.
    pub(crate) fn tell_forecast(&self, teams: usize) {
        let requests = u32::try_from(teams).unwrap_or(u32::MAX);
        let Some(end) = self.upstream.forecast(Lane::Sync, requests) else {
            tracing::info!(
                teams,
                requests,
                "sync: the teams are listed; no rate limit is in the way of their members"
            );
            return;
        };
        let time = end.saturating_duration_since(Instant::now());
        let limits = self.budget().buckets;
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

    /// One more team was read.
    pub(crate) fn tell_progress(&self, sync: &str) {
        if let Some((read, teams)) = self.closure.progress(sync)
            && (read == teams || self.progress.is_due())
        {
            let left = u32::try_from(teams - read).unwrap_or(u32::MAX);
            let time = self
                .upstream
                .forecast(Lane::Sync, left)
                .map(|end| end.saturating_duration_since(Instant::now()));
            let seconds_left = time.map(|time| time.as_secs());
            tracing::info!(read, teams, seconds_left, "sync: members of teams read");
        }
    }
}
