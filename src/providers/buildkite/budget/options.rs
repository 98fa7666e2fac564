//! How the budget is spent; see the settings of the same names.

use std::num::NonZeroU32;
use std::time::Duration;

use super::max_wait::{DEFAULT_MAX_WAIT, DEFAULT_PROVISIONING_MAX_WAIT};
use crate::governance::Lane;

/// Sync requests in flight at once: enough to hide latency.
pub(crate) const MAX_IN_FLIGHT: u32 = 16;

/// The default reserve, in percent of a window.
pub(crate) const DEFAULT_RESERVE: u8 = 10;

/// The default reserve has at least this many requests: five changes of three requests each, as a revoke takes three.
pub(crate) const MIN_DEFAULT_RESERVE: u32 = 15;

/// The default reserve is at most this percentage of a window: syncs have to make progress under low limits too.
pub(crate) const MAX_DEFAULT_RESERVE: u8 = 30;

/// The operator's choices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetOptions {
    /// Longest wait for a rate limit (`--max-wait`).
    pub max_wait: Duration,
    /// The same for a request of a grant or a revoke.
    pub provisioning_max_wait: Duration,
    /// Percent of each window that syncs leave to grants and revokes (`--write-reserve`): at least one request, and
    /// none at all for zero. `None`: a tenth and at least fifteen requests, but never more than three tenths.
    pub reserve: Option<u8>,
    /// The operator's own limit (`--max-requests-per-minute`). It holds for any minute, whatever Buildkite's limits
    /// are.
    pub max_requests_per_minute: Option<NonZeroU32>,
}

impl Default for BudgetOptions {
    fn default() -> Self {
        Self {
            max_wait: DEFAULT_MAX_WAIT,
            provisioning_max_wait: DEFAULT_PROVISIONING_MAX_WAIT,
            reserve: None,
            max_requests_per_minute: None,
        }
    }
}

impl BudgetOptions {
    /// Requests in flight at which this lane has to wait. The higher lanes have slots of their own, so slow sync
    /// requests never block them.
    pub(crate) fn max_in_flight(lane: Lane) -> u32 {
        match lane {
            Lane::Sync => MAX_IN_FLIGHT,
            Lane::Interactive => MAX_IN_FLIGHT + 2,
            Lane::Provisioning => MAX_IN_FLIGHT + 8,
        }
    }

    /// Requests of a window that are reserved from syncs. One is always left to them, so no reserve starves a sync.
    pub(crate) fn reserve_of(&self, limit: u32) -> u32 {
        let reserve = match self.reserve {
            Some(percent) => hundredths(limit, percent).div_ceil(100),
            None => hundredths(limit, DEFAULT_RESERVE)
                .div_ceil(100)
                .max(MIN_DEFAULT_RESERVE.into())
                .min(hundredths(limit, MAX_DEFAULT_RESERVE) / 100),
        };
        u32::try_from(reserve).unwrap_or(limit).min(limit.saturating_sub(1))
    }
}

/// A percentage of a limit, in hundredths of a request.
fn hundredths(limit: u32, percent: u8) -> u64 {
    u64::from(limit) * u64::from(percent.min(100))
}
