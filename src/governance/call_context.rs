//! The context of a call: its lane, deadline, cancellation and cost.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Priority when requests are scarce. The order of the variants is the order of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// A grant or a revoke: a user waits for access.
    Provisioning,
    /// A single read or a health check: a caller waits for the response.
    Interactive,
    /// A listing, within a sync or not: it has no urgency.
    Sync,
}

impl Lane {
    /// All lanes in order of precedence.
    pub const ALL: [Self; 3] = [Self::Provisioning, Self::Interactive, Self::Sync];

    /// The lane's name in logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provisioning => "provisioning",
            Self::Interactive => "interactive",
            Self::Sync => "sync",
        }
    }
}

/// One attempt at a request: its endpoint, and the HTTP status of its response, if there was one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// The name of the endpoint.
    pub endpoint: &'static str,
    /// The HTTP status of the response; `None` without a response.
    pub status: Option<u16>,
}

/// The cost of a call so far.
#[derive(Debug, Clone, Default)]
pub struct CallStats {
    /// Every attempt that was sent, in order.
    pub attempts: Vec<Attempt>,
    /// Time spent waiting for a rate limit.
    pub waited: Duration,
}

/// The context of one call: clones share the same ledger.
#[derive(Debug, Clone)]
pub struct CallContext {
    lane: Lane,
    begun: Instant,
    deadline: Option<Instant>,
    /// Deadline for internal calls that have no caller deadline.
    probe_timeout: Option<Instant>,
    cancellation: CancellationToken,
    concurrency: usize,
    coalesce: bool,
    reuses_reads_since: Option<Instant>,
    ledger: Arc<Mutex<Ledger>>,
}

#[derive(Debug, Default)]
struct Ledger {
    stats: CallStats,
    /// The time up to which waiting was counted.
    counted_until: Option<Instant>,
    /// The position of the credential that decides and makes the change.
    credential: Option<usize>,
}

impl CallContext {
    /// A call on a lane, without a deadline.
    #[must_use]
    pub fn new(lane: Lane) -> Self {
        Self {
            lane,
            begun: Instant::now(),
            deadline: None,
            probe_timeout: None,
            cancellation: CancellationToken::new(),
            concurrency: 1,
            coalesce: lane != Lane::Provisioning,
            reuses_reads_since: None,
            ledger: Arc::default(),
        }
    }

    /// Sets how many windows of a list may be requested concurrently.
    #[must_use]
    pub fn with_concurrency(mut self, windows: usize) -> Self {
        self.concurrency = windows.max(1);
        self
    }

    /// Sets the deadline of the caller.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Option<Instant>) -> Self {
        self.deadline = deadline;
        self
    }

    /// Sets a deadline of the connector. The error after it says that Buildkite did not respond, not that the deadline of
    /// the caller passed.
    #[must_use]
    pub fn with_probe_timeout(mut self, deadline: Instant) -> Self {
        self.probe_timeout = Some(deadline);
        self
    }

    /// Cancels the call when `ending` is cancelled.
    #[must_use]
    pub fn with_cancellation(mut self, ending: &CancellationToken) -> Self {
        self.cancellation = ending.child_token();
        self
    }

    /// Cancels the call when the guard is dropped. No write of a cancelled call is started.
    #[must_use]
    pub fn cancel_on_drop(&self) -> DropGuard {
        self.cancellation.clone().drop_guard()
    }

    /// Lets the call use what was read since `began`, the beginning of its sync, however long ago that is.
    #[must_use]
    pub fn reusing_reads_since(mut self, began: Option<Instant>) -> Self {
        self.reuses_reads_since = began;
        self
    }

    /// The beginning of the sync whose reads the call may use.
    #[must_use]
    pub fn reuses_reads_since(&self) -> Option<Instant> {
        self.reuses_reads_since
    }

    /// The number of windows of a list that may be requested concurrently; at least 1.
    #[must_use]
    pub fn concurrency(&self) -> usize {
        self.concurrency
    }

    /// Disables coalescing: every response is to a request sent by this call. Used where the answer decides a write.
    /// Calls on the provisioning lane are never coalesced.
    #[must_use]
    pub fn uncoalesced(&self) -> Self {
        Self {
            coalesce: false,
            ..self.clone()
        }
    }

    /// Whether the call may use the response to an identical request of another call that is in flight.
    pub(crate) fn may_coalesce(&self) -> bool {
        self.coalesce
    }

    /// Whether the call was cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancellation.is_cancelled()
    }

    /// Resolves once the call is cancelled.
    pub async fn cancelled(&self) {
        self.cancellation.cancelled().await;
    }

    /// The same call, detached from its caller: with a deadline of its own, without cancellation, and with the same
    /// ledger.
    #[must_use]
    pub fn detached_until(&self, deadline: Instant) -> Self {
        Self {
            cancellation: CancellationToken::new(),
            deadline: Some(deadline),
            probe_timeout: None,
            ..self.clone()
        }
    }

    /// The lane of the requests of the call.
    #[must_use]
    pub fn lane(&self) -> Lane {
        self.lane
    }

    /// When the call began.
    #[must_use]
    pub fn begun(&self) -> Instant {
        self.begun
    }

    /// The earlier of the deadline of the caller and the probe timeout, if any.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline.into_iter().chain(self.probe_timeout).min()
    }

    /// The deadline set by [`Self::with_probe_timeout`].
    pub(crate) fn probe_timeout(&self) -> Option<Instant> {
        self.probe_timeout
    }

    /// Whether the deadline of the caller passed.
    #[must_use]
    pub fn is_overdue(&self) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= Instant::now())
    }

    /// The cost of the call so far.
    #[must_use]
    pub fn stats(&self) -> CallStats {
        self.ledger(|ledger| ledger.stats.clone())
    }

    /// Adds an attempt.
    pub(crate) fn record(&self, endpoint: &'static str, status: Option<u16>) {
        self.ledger(|ledger| ledger.stats.attempts.push(Attempt { endpoint, status }));
    }

    /// Adds time spent waiting elsewhere on behalf of this call.
    pub fn add_wait(&self, time: Duration) {
        self.ledger(|ledger| ledger.stats.waited += time);
    }

    /// Adds the time since `begun`, spent waiting for a rate limit. Concurrent waits of one call count once.
    pub(crate) fn record_wait_since(&self, begun: Instant) {
        let now = Instant::now();
        self.ledger(|ledger| {
            let from = ledger.counted_until.map_or(begun, |until| until.max(begun));
            ledger.stats.waited += now.saturating_duration_since(from);
            ledger.counted_until = Some(now);
        });
    }

    /// The credential that decides and makes the change of this call, if the provider chose one of several.
    #[must_use]
    pub fn credential(&self) -> Option<usize> {
        self.ledger(|ledger| ledger.credential)
    }

    /// The credential that decides and makes the change of this call: the one that was chosen before, if it `is_usable`, or else the
    /// one that `choose` returns.
    pub(crate) fn choose_credential(
        &self,
        is_usable: impl FnOnce(usize) -> bool,
        choose: impl FnOnce() -> Option<usize>,
    ) -> Option<usize> {
        self.ledger(|ledger| {
            let kept = ledger.credential.filter(|position| is_usable(*position));
            ledger.credential = kept.or_else(choose);
            ledger.credential
        })
    }

    fn ledger<T>(&self, access: impl FnOnce(&mut Ledger) -> T) -> T {
        // The ledger holds plain numbers: a panic while it was locked leaves no inconsistent state.
        access(&mut self.ledger.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
