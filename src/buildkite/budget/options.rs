//! How the budget is spent; see the settings of the same names.

use std::num::NonZeroU32;
use std::time::Duration;

use super::super::call::Lane;

/// The least that is kept for grants, however small the limit.
const LEAST_RESERVE: u32 = 3;

/// The operator's choices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetOptions {
    /// Longest wait for a rate limit (`--max-wait`).
    pub max_wait: Duration,
    /// The same for a grant or a revoke: a whole window and a margin, as nobody repeats it for us.
    pub provisioning_max_wait: Duration,
    /// Percent of each window that syncs leave to grants and revokes (`--write-reserve`), and at least three requests.
    /// Zero: nothing.
    pub reserve: u8,
    /// The operator's own limit (`--max-requests-per-minute`): of any minute, whatever Buildkite would allow.
    pub max_requests_per_minute: Option<NonZeroU32>,
}

impl Default for BudgetOptions {
    fn default() -> Self {
        Self {
            max_wait: Duration::from_secs(45),
            provisioning_max_wait: Duration::from_secs(75),
            reserve: 10,
            max_requests_per_minute: None,
        }
    }
}

impl BudgetOptions {
    /// How long a request of this lane may wait.
    pub(in super::super) fn patience(&self, lane: Lane) -> Duration {
        match lane {
            Lane::Provisioning => self.provisioning_max_wait,
            Lane::Interactive | Lane::Sync => self.max_wait,
        }
    }

    /// How many requests of a window are kept from syncs. One is always left to them: nobody starves for a reserve.
    pub(super) fn reserve_of(&self, limit: u32) -> u32 {
        if self.reserve == 0 {
            return 0;
        }
        let share = u64::from(limit) * u64::from(self.reserve.min(100));
        let share = u32::try_from(share.div_ceil(100)).unwrap_or(limit);
        share.max(LEAST_RESERVE).min(limit.saturating_sub(1))
    }
}
