//! How long things take: the protocol's own numbers, which tests shorten.

use std::time::Duration;

/// Waits and bounds of service mode.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// The first wait after a hello or a token that failed; doubled each time.
    pub retry: Duration,
    /// The longest of these waits.
    pub longest_retry: Duration,
    /// The wait after a request for a task that failed, times the square of how many did in a row.
    pub poll_retry: Duration,
    /// The longest of these waits.
    pub longest_poll_retry: Duration,
    /// The wait after a task that is under way already was handed out.
    pub duplicate: Duration,
    /// The longest wait that the platform may name between two requests for a task.
    pub longest_poll: Duration,
    /// Between heartbeats where the platform names no time.
    pub heartbeat: Duration,
    /// The shortest time between heartbeats.
    pub shortest_heartbeat: Duration,
    /// The longest.
    pub longest_heartbeat: Duration,
    /// The wait before an upload, a first heartbeat, or a report is repeated.
    pub repeat: Duration,
    /// For one call.
    pub call: Duration,
    /// For one request for a task, which the platform may leave open for a while.
    pub poll: Duration,
    /// For one try of an upload.
    pub upload: Duration,
    /// For the report of a task's end, its repetitions included.
    pub report: Duration,
    /// For the reports of what was not finished at the end.
    pub goodbye: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
        Self {
            retry: second,
            longest_retry: 5 * minute,
            poll_retry: second,
            longest_poll_retry: minute,
            duplicate: second,
            longest_poll: 5 * minute,
            heartbeat: 30 * second,
            shortest_heartbeat: second,
            longest_heartbeat: 5 * minute,
            repeat: second,
            call: 30 * second,
            poll: 6 * minute,
            upload: 10 * minute,
            report: 30 * second,
            goodbye: 5 * second,
        }
    }
}

impl Timing {
    /// The wait after the failure of this number, from 0.
    pub(super) fn retry_wait(&self, failures: u32) -> Duration {
        let doubled = 2_u32
            .checked_pow(failures)
            .and_then(|times| self.retry.checked_mul(times));
        doubled.unwrap_or(self.longest_retry).min(self.longest_retry)
    }

    /// The wait after this many requests for a task failed in a row.
    pub(super) fn poll_wait(&self, failures: u32) -> Duration {
        let squared = failures
            .checked_mul(failures)
            .and_then(|times| self.poll_retry.checked_mul(times));
        squared.unwrap_or(self.longest_poll_retry).min(self.longest_poll_retry)
    }

    /// The time to the next heartbeat, where the platform named `next`.
    pub(super) fn heartbeat_wait(&self, next: Option<Duration>) -> Duration {
        let next = next.filter(|next| !next.is_zero()).unwrap_or(self.heartbeat);
        next.clamp(self.shortest_heartbeat, self.longest_heartbeat)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_as_the_protocol_says_and_no_further() {
        let timing = Timing::default();
        let seconds = |wait: Duration| wait.as_secs();
        assert_eq!(
            [0, 1, 4, 8, 9, 99].map(|failures| seconds(timing.retry_wait(failures))),
            [1, 2, 16, 256, 300, 300]
        );
        assert_eq!(
            [1, 2, 7, 8, u32::MAX].map(|failures| seconds(timing.poll_wait(failures))),
            [1, 4, 49, 60, 60]
        );
    }

    #[test]
    fn heartbeats_keep_the_bounds_of_the_protocol() {
        let timing = Timing::default();
        let wait = |millis| timing.heartbeat_wait(Some(Duration::from_millis(millis))).as_secs();
        assert_eq!([0, 200, 7_000, 900_000].map(wait), [30, 1, 7, 300]);
        assert_eq!(timing.heartbeat_wait(None).as_secs(), 30);
    }
}
