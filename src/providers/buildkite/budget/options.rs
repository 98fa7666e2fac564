//! How the budget is spent; see the settings of the same names.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::providers::buildkite::call::Lane;

/// Where no share is given, a tenth of a window is kept for grants and revokes.
const SHARE: u8 = 10;

/// Then it is at least five changes of three requests each, as a revoke takes three.
const LEAST_BY_DEFAULT: u32 = 15;

/// And never more of a window than this, in percent: syncs have to go on where limits are low.
const MOST_BY_DEFAULT: u8 = 30;

/// The operator's choices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetOptions {
    /// Longest wait for a rate limit (`--max-wait`).
    pub max_wait: Duration,
    /// The same for a grant or a revoke: a whole window and a margin, as nobody repeats it for us.
    pub provisioning_max_wait: Duration,
    /// Percent of each window that syncs leave to grants and revokes (`--write-reserve`): at least one request, and zero for
    /// nothing. None: a tenth and at least fifteen requests, but never more than three tenths.
    pub reserve: Option<u8>,
    /// The operator's own limit (`--max-requests-per-minute`): of any minute, whatever Buildkite would allow.
    pub max_requests_per_minute: Option<NonZeroU32>,
}

impl Default for BudgetOptions {
    fn default() -> Self {
        Self {
            max_wait: Duration::from_secs(45),
            provisioning_max_wait: Duration::from_secs(75),
            reserve: None,
            max_requests_per_minute: None,
        }
    }
}

impl BudgetOptions {
    /// How long a request of this lane may wait.
    pub(crate) fn patience(&self, lane: Lane) -> Duration {
        match lane {
            Lane::Provisioning => self.provisioning_max_wait,
            Lane::Interactive | Lane::Sync => self.max_wait,
        }
    }

    /// How many requests of a window are kept from syncs. One is always left to them: nobody starves for a reserve.
    pub(crate) fn reserve_of(&self, limit: u32) -> u32 {
        let reserve = match self.reserve {
            Some(percent) => share(limit, percent).div_ceil(100),
            None => share(limit, SHARE)
                .div_ceil(100)
                .max(LEAST_BY_DEFAULT.into())
                .min(share(limit, MOST_BY_DEFAULT) / 100),
        };
        u32::try_from(reserve).unwrap_or(limit).min(limit.saturating_sub(1))
    }
}

/// So many percent of a limit, in hundredths of a request.
fn share(limit: u32, percent: u8) -> u64 {
    u64::from(limit) * u64::from(percent.min(100))
}
