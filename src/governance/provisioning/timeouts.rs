//! How long a write is given to show, to be finished, and to be recorded.

use std::time::Duration;

/// The times that provisioning waits for. The defaults are the design's; tests shrink them.
#[derive(Debug, Clone)]
pub struct WriteTimeouts {
    /// Pauses between reads that wait for a write of ours to show; together they last longer than any lag that was ever seen.
    pub read_back_delays: Vec<Duration>,
    /// Of those, how many are waited after a refusal or a lost reply before what is read is believed.
    pub recheck_delays: usize,
    /// For how long a write of ours explains a read that does not show it.
    pub own_write_window: Duration,
    /// How long a write that was begun may take to be confirmed, whoever still waits for it.
    pub completion: Duration,
    /// How long a line may take to be appended to the audit record.
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
    /// The pauses after which a doubt is settled.
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
