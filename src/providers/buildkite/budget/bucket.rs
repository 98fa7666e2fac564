//! Tracks one of Buildkite's two rate limits, so that this process never exceeds it.
//!
//! Windows have fixed boundaries that Buildkite does not publish. The tracker therefore does not rely on knowing the
//! current window. It keeps every request of this process **charged** for as long as the window that counted the
//! request may still be running:
//!
//! - A request in flight is charged, because it may be counted at any moment.
//! - A request with a complete response is charged to the window that the response reports, until that window has *certainly*
//!   ended: at the latest reset that all its responses allow, or when a response arrives that can only belong to a later window.
//! - A request without a usable response may have been counted at any time up to now. No window is longer than a
//!   minute, so it is charged for a minute, or until a window has ended that certainly contained it.
//!
//! When the last request of some window is sent, every request that the window counted before is therefore still
//! charged. The charges never exceed the limit, so the window does not exceed it either: alone, no request is refused,
//! with any alignment of the windows.
//!
//! Other consumers use the same limit, and only responses show it. The second bound is the lowest remaining count that
//! a response of this window reported, less the requests of this process that may have been counted since. It needs no
//! reset, so it alone holds when resets are reported wrongly. Requests that were counted before that response and have
//! no response yet are subtracted twice, for one round trip. A request that was settled before the request of such a
//! response was sent is included in the reported count and needs no charge of its own.

mod absorb;
mod forecast;

use std::time::Duration;

use tokio::time::Instant;

use super::headers::LimitHeaders;
use super::options::BudgetOptions;
use super::scheduler::InFlight;
use super::slow_start::SlowStart;
use super::unattributed::UnattributedRequests;
use super::window::{Attribution, MARGIN, Observation, Window, WindowLength};
pub(crate) use forecast::Reserve;

use crate::governance::Lane;
use crate::governance::rate_limit::{Bucket, WINDOW};

/// How long before the expected end of a window the reserve is released to syncs.
const RELEASE: Duration = Duration::from_secs(2);

/// After this many consecutive 429s, the wait is a whole window.
const MAX_REFUSALS: u32 = 7;

/// One rate limit, as its headers describe it.
#[derive(Debug)]
pub(crate) struct BucketTracker {
    pub(crate) bucket: Bucket,
    /// The options of the connections that use the bucket. The largest of their reserves applies.
    options: Vec<BudgetOptions>,
    /// Requests that were sent and are not settled.
    in_flight: u32,
    /// Whether a response ever reported this bucket; otherwise it is not enforced.
    observed: bool,
    limit: Option<u32>,
    window: Option<Window>,
    /// Whether the window has ended, and no response of the next one has arrived.
    ended: bool,
    unattributed: UnattributedRequests,
    /// Provisioning requests sent in this window: the spent part of the reserve.
    provisioning_sent: u32,
    contention: Contention,
    /// Whether this window's reserve was released to syncs.
    released: bool,
    /// Until when a 429 blocks the bucket.
    blocked_until: Option<Instant>,
    /// Consecutive 429s.
    refusals: u32,
    slow_start: SlowStart,
    /// For forecasts only.
    length: WindowLength,
}

/// Whether another consumer was seen to use the limit.
#[derive(Debug, Default)]
struct Contention {
    /// In this window.
    current: bool,
    /// In the previous window.
    previous: bool,
}

impl BucketTracker {
    pub(crate) fn new(bucket: Bucket, options: BudgetOptions) -> Self {
        Self {
            bucket,
            options: vec![options],
            in_flight: 0,
            observed: false,
            limit: None,
            window: None,
            ended: true,
            unattributed: UnattributedRequests::default(),
            provisioning_sent: 0,
            contention: Contention::default(),
            released: false,
            blocked_until: None,
            refusals: 0,
            slow_start: SlowStart::new(0),
            length: WindowLength::default(),
        }
    }

    /// Lets another connection use the bucket too.
    pub(crate) fn share(&mut self, options: BudgetOptions) {
        if !self.options.contains(&options) {
            self.options.push(options);
        }
    }

    /// Replaces the options of the connections that use the bucket.
    pub(crate) fn share_among(&mut self, options: impl Iterator<Item = BudgetOptions>) {
        self.options.clear();
        options.for_each(|options| self.share(options));
    }

    /// Advances to `now`: ends what has expired. `next_sequence` is the number of the next request to be sent.
    pub(crate) fn advance(&mut self, now: Instant, next_sequence: u64) {
        if self.blocked_until.is_some_and(|until| now >= until) {
            self.blocked_until = None;
        }
        self.unattributed.expire(now);
        if self.ends_at().is_some_and(|at| now >= at) {
            self.end_window(now, next_sequence);
        }
        if !self.released && self.release_at().is_some_and(|at| now >= at) {
            self.release_reserve(next_sequence);
        }
    }

    /// Lets syncs use what is left of the reserve. No sync request was answered since they used up their part, most of
    /// a window ago. If there are other consumers, a single probe finds out whether the reserve is still left.
    fn release_reserve(&mut self, next_sequence: u64) {
        self.released = true;
        if self.contention.current || self.contention.previous {
            self.slow_start.restart(next_sequence, true);
        }
    }

    /// Ends the window, which had ended at `by`. Requests that were certainly counted in it or earlier are no longer
    /// charged.
    fn end_window(&mut self, by: Instant, next_sequence: u64) {
        if let Some(window) = &self.window {
            self.unattributed.release_until(window.resets.earliest.min(by));
        }
        self.ended = true;
        self.provisioning_sent = 0;
        self.released = false;
        self.contention = Contention {
            current: false,
            previous: self.contention.current,
        };
        self.slow_start.restart(next_sequence, self.contention.previous);
    }

    /// The earliest moment at which the running window has certainly ended.
    fn ends_at(&self) -> Option<Instant> {
        self.running().map(|window| window.resets.latest + MARGIN)
    }

    fn running(&self) -> Option<&Window> {
        self.window.as_ref().filter(|_| !self.ended)
    }

    /// Whether a request of this lane may be sent now, if `reserve` requests of the window are kept from it.
    pub(crate) fn admits(&self, lane: Lane, reserve: u32) -> bool {
        self.blocked_until.is_none() && self.slow_start.admits(lane) && self.available_beyond(reserve) > 0
    }

    /// How many more requests the window allows, if `reserve` requests are kept.
    pub(crate) fn available_beyond(&self, reserve: u32) -> u32 {
        if self.blocked_until.is_some() {
            return 0;
        }
        self.available().saturating_sub(reserve)
    }

    fn available(&self) -> u32 {
        if !self.observed {
            return u32::MAX;
        }
        let window = self.running();
        let counted = window.map_or(0, |window| window.counted);
        let uncharged = self.limit.map_or(u32::MAX, |limit| limit.saturating_sub(counted));
        let remaining = window.and_then(|window| window.remaining).unwrap_or(u32::MAX);
        uncharged
            .min(remaining)
            .saturating_sub(self.in_flight)
            .saturating_sub(self.unattributed.count())
    }

    /// Requests that were sent and are not settled.
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// The part of a window that is reserved from syncs.
    pub(crate) fn reserve(&self) -> u32 {
        let of_limit = |limit| self.options.iter().map(|options| options.reserve_of(limit)).max();
        self.limit.and_then(of_limit).unwrap_or(0)
    }

    /// Provisioning requests that were sent in this window: the spent part of the reserve.
    pub(crate) fn provisioning_sent(&self) -> u32 {
        self.provisioning_sent
    }

    /// Whether the window's reserve is released to syncs.
    pub(crate) fn is_released(&self, now: Instant) -> bool {
        self.release_at().is_some_and(|at| now >= at)
    }

    fn release_at(&self) -> Option<Instant> {
        self.running()?.resets.midpoint().checked_sub(RELEASE)
    }

    /// The next instant after `now` at which the passage of time alone changes what may be sent.
    pub(crate) fn next_change(&self, now: Instant) -> Option<Instant> {
        [
            self.blocked_until,
            self.ends_at(),
            self.release_at(),
            self.unattributed.next_expiry(),
        ]
        .into_iter()
        .flatten()
        .filter(|at| *at > now)
        .min()
    }

    pub(crate) fn record_sent(&mut self, request: &InFlight) {
        self.in_flight = self.in_flight.saturating_add(1);
        self.slow_start.record_sent();
        if request.lane == Lane::Provisioning {
            self.provisioning_sent = self.provisioning_sent.saturating_add(1);
        }
    }

    /// The request is settled: it is no longer in flight.
    fn record_done(&mut self, request: &InFlight) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.slow_start.record_done(request);
    }

    /// Takes in the headers of a response.
    pub(crate) fn record_response(
        &mut self,
        request: &InFlight,
        headers: LimitHeaders,
        now: Instant,
        next_sequence: u64,
    ) {
        self.record_done(request);
        self.observed = true;
        self.limit = headers.valid_limit().or(self.limit);
        let observation = Observation::new(request.sent_at, now, headers, self.limit);
        if let Some(resets) = observation.resets {
            let left = resets.earliest.saturating_duration_since(observation.sent_at);
            self.length.observe_left(left);
        }
        let Some(attribution) = self.attribute(&observation, next_sequence) else {
            return;
        };
        if observation.is_complete() {
            // Requests that were settled before this one was sent are included in its remaining count.
            self.unattributed.release_until(observation.sent_at);
        } else {
            self.unattributed.push(now);
        }
        self.detect_contention(&observation);
        if observation.remaining.is_some() {
            self.slow_start.open(request, attribution == Attribution::Next);
        }
    }

    /// Charges a request with a response to its window. Returns `None` if that window has ended; nothing is charged.
    fn attribute(&mut self, observation: &Observation, next_sequence: u64) -> Option<Attribution> {
        let Some(resets) = observation.resets else {
            if let Some(window) = self.window.as_mut().filter(|_| !self.ended) {
                window.lower_remaining(observation);
                return Some(Attribution::Current);
            }
            self.start_window(observation);
            return Some(Attribution::Next);
        };
        let attribution = self
            .window
            .as_ref()
            .map_or(Attribution::Next, |window| window.attribute(resets, observation));
        match (attribution, &mut self.window) {
            (Attribution::Next, _) | (_, None) => {
                if self.running().is_some() {
                    self.end_window(observation.sent_at, next_sequence);
                }
                self.start_window(observation);
            }
            (Attribution::Previous, _) => return None,
            (Attribution::Current | Attribution::Conflicting, _) if self.ended => return None,
            (Attribution::Current, Some(window)) => window.count(resets, observation),
            (Attribution::Conflicting, Some(window)) => window.count_conflicting(resets, observation),
        }
        Some(attribution)
    }

    fn start_window(&mut self, observation: &Observation) {
        let window = Window::new(observation);
        if let Some(previous) = self.window.replace(window)
            && previous.is_reported
            && window.is_reported
        {
            self.length.observe_next(previous.resets, window.resets);
        }
        self.ended = false;
    }

    /// There is another consumer if more requests were counted than this process can have sent.
    fn detect_contention(&mut self, observation: &Observation) {
        let (Some(limit), Some(remaining), Some(window)) = (self.limit, observation.remaining, self.running()) else {
            return;
        };
        let own = window.counted + self.in_flight + self.unattributed.count();
        if limit.saturating_sub(remaining) > own {
            self.contention.current = true;
        }
    }

    /// The response reports only the other bucket: this one does not count such requests.
    pub(crate) fn not_counted(&mut self, request: &InFlight) {
        self.refund(request);
        if !self.observed {
            self.slow_start.grow();
        }
    }

    /// No response arrived, or none with limit headers: the request may have been counted at any time up to `now`.
    pub(crate) fn unanswered(&mut self, request: &InFlight, now: Instant) {
        self.record_done(request);
        if self.observed {
            self.unattributed.push(now);
        } else {
            self.unattributed.push_unobserved(now);
        }
    }

    /// The response has no limit headers. If that is so for all responses, there is no limit that could be observed.
    pub(crate) fn no_headers(&mut self, request: &InFlight, now: Instant) {
        self.unanswered(request, now);
        if !self.observed {
            self.slow_start.grow();
        }
    }

    /// The request was never sent, or was not counted here.
    pub(crate) fn refund(&mut self, request: &InFlight) {
        self.record_done(request);
        if request.lane == Lane::Provisioning {
            self.provisioning_sent = self.provisioning_sent.saturating_sub(1);
        }
    }

    /// Blocks the bucket for the `wait` of a 429; a single probe follows. If the probe is refused too, the wait was too
    /// short: each consecutive 429 at least doubles it, up to a window.
    pub(crate) fn block(&mut self, request: &InFlight, wait: Duration, now: Instant, next_sequence: u64) -> Instant {
        if request.sequence >= self.slow_start.first_probe() || self.refusals == 0 {
            self.refusals = (self.refusals + 1).min(MAX_REFUSALS);
        }
        let min_wait = Duration::from_secs(1 << (self.refusals - 1)).min(WINDOW);
        let until = self.blocked_until.max(Some(now + wait.max(min_wait)));
        self.blocked_until = until;
        self.contention.current = true;
        self.slow_start.restart(next_sequence, true);
        until.unwrap_or(now)
    }

    /// A request was accepted, so the next 429 is not a consecutive one.
    pub(crate) fn accepted(&mut self) {
        self.refusals = 0;
    }

    pub(crate) fn limit(&self) -> Option<u32> {
        self.limit
    }

    /// When the window has certainly ended and no 429 blocks the bucket; `None` before the window is observed.
    pub(crate) fn resets_at(&self) -> Option<Instant> {
        self.blocked_until.max(self.ends_at())
    }

    pub(crate) fn is_observed(&self) -> bool {
        self.observed
    }
}
