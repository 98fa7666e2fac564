//! Slow start: a window begins with a few probes, until a response reports what is left of it.
//!
//! How many requests a window has left is known only after its first response: another consumer may have used it
//! before, or the reset of the previous window may have been reported wrongly. So a few requests go first as probes. If
//! another consumer was seen or a 429 blocked the bucket, there is a single probe. This costs one round trip a window,
//! and no request of the window is lost by it.

use super::scheduler::InFlight;
use crate::governance::Lane;

/// Probes at the begin of a window, if no other consumer was seen.
const INITIAL_PROBES: u32 = 4;

/// Whether the window has been observed, and the probes in flight until then.
#[derive(Debug)]
pub(crate) struct SlowStart {
    /// Probes allowed in flight; `None` once the window has been observed.
    max_probes: Option<u32>,
    /// The sequence number of the first probe.
    first_probe: u64,
    in_flight: u32,
}

impl SlowStart {
    /// Starts with the request number `first_probe`.
    pub(crate) fn new(first_probe: u64) -> Self {
        Self {
            max_probes: Some(INITIAL_PROBES),
            first_probe,
            in_flight: 0,
        }
    }

    /// Starts again with the request number `first_probe`; with a single probe if there is `contention`.
    pub(crate) fn restart(&mut self, first_probe: u64, contention: bool) {
        *self = Self {
            max_probes: Some(if contention { 1 } else { INITIAL_PROBES }),
            first_probe,
            in_flight: 0,
        };
    }

    /// The sequence number of the first request since the last start.
    pub(crate) fn first_probe(&self) -> u64 {
        self.first_probe
    }

    /// Provisioning gets one extra probe, so a grant never waits for a sync's probe whose response may be lost.
    pub(crate) fn admits(&self, lane: Lane) -> bool {
        let extra = u32::from(lane == Lane::Provisioning);
        self.max_probes.is_none_or(|max| self.in_flight < max + extra)
    }

    pub(crate) fn record_sent(&mut self) {
        self.in_flight = self.in_flight.saturating_add(1);
    }

    pub(crate) fn record_done(&mut self, request: &InFlight) {
        if request.sequence >= self.first_probe {
            self.in_flight = self.in_flight.saturating_sub(1);
        }
    }

    /// Adds the probes of another start for the same limit. It is over if one of the two is.
    pub(crate) fn absorb(&mut self, other: &Self) {
        self.max_probes = self.max_probes.and(other.max_probes);
        self.first_probe = self.first_probe.min(other.first_probe);
        self.in_flight += other.in_flight;
    }

    /// Allows one more probe: no response so far carried limit headers, so there may be no limit.
    pub(crate) fn grow(&mut self) {
        self.max_probes = self.max_probes.and_then(|max| max.checked_add(1));
    }

    /// Ends slow start: the response to this request described the window. The response to an earlier request counts
    /// only if it started this window.
    pub(crate) fn open(&mut self, request: &InFlight, starts_window: bool) {
        if starts_window || request.sequence >= self.first_probe {
            self.max_probes = None;
        }
    }
}
