//! What travels with a request through this room: whose turn it is, how long it may take, and what it cost.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::api::endpoint::Endpoint;

/// Who passes first where requests are scarce. The order of the variants is the order of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// A grant or a revoke: somebody waits for access.
    Provisioning,
    /// A single read or a health check: somebody waits for an answer.
    Interactive,
    /// A listing, within a sync or not: a job that has the whole night.
    Sync,
}

impl Lane {
    /// Every lane, the first to pass first.
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

/// One attempt at a request: which, and the status it was answered with, if it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// What was asked.
    pub endpoint: Endpoint,
    /// Buildkite's status; none where no answer came.
    pub status: Option<StatusCode>,
}

/// What one call has cost so far.
#[derive(Debug, Clone, Default)]
pub struct CallStats {
    /// Every attempt that left this machine, in order.
    pub attempts: Vec<Attempt>,
    /// Time slept because a rate limit left no room.
    pub waited: Duration,
}

/// One caller's request: clones share the same ledger.
#[derive(Debug, Clone)]
pub struct CallContext {
    lane: Lane,
    begun: Instant,
    deadline: Option<Instant>,
    /// For how long Buildkite is waited for where no caller's deadline says it.
    patience: Option<Instant>,
    abandoned: CancellationToken,
    together: usize,
    apart: bool,
    ledger: Arc<Mutex<Ledger>>,
}

#[derive(Debug, Default)]
struct Ledger {
    spent: CallStats,
    /// Until when time slept is counted.
    waited_until: Option<Instant>,
}

impl CallContext {
    /// A call on a lane, without a deadline.
    #[must_use]
    pub fn new(lane: Lane) -> Self {
        Self {
            lane,
            begun: Instant::now(),
            deadline: None,
            patience: None,
            abandoned: CancellationToken::new(),
            together: 1,
            apart: lane == Lane::Provisioning,
            ledger: Arc::default(),
        }
    }

    /// The same call, in which so many windows of a list may be asked for together.
    #[must_use]
    pub fn with_concurrency(mut self, windows: usize) -> Self {
        self.together = windows.max(1);
        self
    }

    /// The same call, to be given up at `deadline`.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Option<Instant>) -> Self {
        self.deadline = deadline;
        self
    }

    /// The same call, in which Buildkite is waited for until `patience`: past it Buildkite was silent, and no caller's
    /// deadline passed.
    #[must_use]
    pub fn with_probe_timeout(mut self, patience: Instant) -> Self {
        self.patience = Some(patience);
        self
    }

    /// The same call, abandoned also when `ending` is cancelled.
    #[must_use]
    pub fn with_cancellation(mut self, ending: &CancellationToken) -> Self {
        self.abandoned = ending.child_token();
        self
    }

    /// While the guard lives, somebody waits for this call. Once it is dropped, no write of the call is begun.
    #[must_use]
    pub fn cancel_on_drop(&self) -> DropGuard {
        self.abandoned.clone().drop_guard()
    }

    /// How many windows of a list may be asked for together; one at least.
    #[must_use]
    pub fn concurrency(&self) -> usize {
        self.together
    }

    /// The same call, every answer of which was asked for since: what it reads decides something. Grants and revokes are of
    /// this kind from the start.
    #[must_use]
    pub fn uncoalesced(&self) -> Self {
        Self {
            apart: true,
            ..self.clone()
        }
    }

    /// Whether an answer will do that somebody else asked for a moment ago and that is still to come.
    pub(crate) fn may_coalesce(&self) -> bool {
        !self.apart
    }

    /// Whether nobody waits for the call any more.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.abandoned.is_cancelled()
    }

    /// Resolves once nobody waits for the call any more.
    pub async fn cancelled(&self) {
        self.abandoned.cancelled().await;
    }

    /// The same call once it has to be finished whoever waits: a deadline of its own, the same ledger.
    #[must_use]
    pub fn detached_until(&self, deadline: Instant) -> Self {
        Self {
            abandoned: CancellationToken::new(),
            deadline: Some(deadline),
            patience: None,
            ..self.clone()
        }
    }

    /// The lane that the call's requests take.
    #[must_use]
    pub fn lane(&self) -> Lane {
        self.lane
    }

    /// When the call came.
    #[must_use]
    pub fn begun(&self) -> Instant {
        self.begun
    }

    /// When the call is given up, if ever: the caller's deadline, or the end of patience.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline.into_iter().chain(self.patience).min()
    }

    /// Until when Buildkite is waited for, where that is not left to the caller's deadline.
    pub(crate) fn patience(&self) -> Option<Instant> {
        self.patience
    }

    /// Whether the caller's own deadline passed.
    #[must_use]
    pub fn is_overdue(&self) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= Instant::now())
    }

    /// What the call has cost so far.
    #[must_use]
    pub fn stats(&self) -> CallStats {
        self.ledger(|ledger| ledger.spent.clone())
    }

    pub(crate) fn record(&self, endpoint: Endpoint, status: Option<StatusCode>) {
        self.ledger(|ledger| ledger.spent.attempts.push(Attempt { endpoint, status }));
    }

    /// Adds time slept elsewhere on behalf of this call.
    pub fn add_wait(&self, time: Duration) {
        self.ledger(|ledger| ledger.spent.waited += time);
    }

    /// Adds the time since `begun`, slept because a rate limit left no room. What several requests of the call slept
    /// through side by side counts once.
    pub(crate) fn record_wait_since(&self, begun: Instant) {
        let now = Instant::now();
        self.ledger(|ledger| {
            let from = ledger.waited_until.map_or(begun, |until| until.max(begun));
            ledger.spent.waited += now.saturating_duration_since(from);
            ledger.waited_until = Some(now);
        });
    }

    fn ledger<T>(&self, look: impl FnOnce(&mut Ledger) -> T) -> T {
        // A ledger is plain numbers: a panic elsewhere while it was locked left nothing half done.
        look(&mut self.ledger.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
