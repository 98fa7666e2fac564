//! How long a started write may take: to become visible, to be finished, and to be recorded.
//!
//! Before it, each request of a grant or revoke waits for the rate limit. The provider bounds that wait for each lane: for
//! Buildkite in `max_wait.rs` of `src/providers/buildkite/budget`. A call of a platform as a whole ends at its deadline, see
//! `deadline.rs` of `src/grpc/middleware`; a job has none.

use std::time::Duration;

/// The timeouts of provisioning. Tests shorten them.
#[derive(Debug, Clone)]
pub struct WriteTimeouts {
    /// The delays between reads that wait for a write to become visible. Their sum exceeds any lag that was observed.
    pub read_back_delays: Vec<Duration>,
    /// The number of these delays that pass after a rejection or a lost reply before a read is trusted.
    pub recheck_delays: usize,
    /// How long a read may not show a recent write of this process.
    pub own_write_window: Duration,
    /// How long a started write may take to be confirmed, whether or not its caller still waits.
    pub completion: Duration,
    /// The maximum duration of appending a line to the audit record.
    pub append: Duration,
}

impl Default for WriteTimeouts {
    fn default() -> Self {
        Self {
            read_back_delays: [100, 300, 600, 1_000, 3_000, 5_000].map(Duration::from_millis).to_vec(),
            recheck_delays: 4,
            own_write_window: Duration::from_secs(10),
            completion: Duration::from_secs(90),
            append: Duration::from_secs(5),
        }
    }
}

impl WriteTimeouts {
    /// The delays after a rejection or a lost reply.
    pub(crate) fn recheck_delays(&self) -> &[Duration] {
        self.read_back_delays
            .get(..self.recheck_delays)
            .unwrap_or(&self.read_back_delays)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_has_ten_seconds_to_show_and_a_doubt_is_settled_after_two() {
        let timeouts = WriteTimeouts::default();
        assert_eq!(
            timeouts.read_back_delays.iter().sum::<Duration>(),
            timeouts.own_write_window
        );
        assert_eq!(
            timeouts.recheck_delays().iter().sum::<Duration>(),
            Duration::from_secs(2)
        );
    }
}
