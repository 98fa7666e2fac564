//! How long a request may wait for the rate limit, by lane: a grant or revoke, or any other call.
//!
//! A job or `service` waits without a bound unless `--max-wait` is set (`waiting_for_rate_limits` in `src/cli/settings`). How
//! long a started write may then take is in `write_timeouts.rs` of `src/governance/provisioning`; a call of a platform ends at
//! its deadline, see `deadline.rs` of `src/grpc/middleware`.

use std::time::Duration;

use super::options::BudgetOptions;
use crate::governance::Lane;

/// The default maximum wait of a request, except those of a grant or revoke (`--max-wait`).
pub(super) const DEFAULT_MAX_WAIT: Duration = Duration::from_secs(45);

/// The default maximum wait of a request of a grant or revoke: a whole window and a margin, because the platform may not retry it.
pub(super) const DEFAULT_PROVISIONING_MAX_WAIT: Duration = Duration::from_secs(75);

impl BudgetOptions {
    /// The longest time that a request of this lane may wait.
    pub(crate) fn max_wait(&self, lane: Lane) -> Duration {
        match lane {
            Lane::Provisioning => self.provisioning_max_wait,
            Lane::Interactive | Lane::Sync => self.max_wait,
        }
    }
}
