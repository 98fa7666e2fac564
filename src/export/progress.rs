//! The progress of a job, for display.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::governance::{Governance, Lane};

/// The current stage of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stage {
    /// Nothing was read yet.
    #[default]
    Beginning,
    /// Reads the organization's users.
    Users,
    /// Reads its teams.
    Teams,
    /// Reads the members of the teams.
    Members,
    /// Completes the file, after everything was read.
    Writing,
    /// Plans, makes and confirms a change.
    Changing,
}

impl Stage {
    /// The stage in words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Beginning => "beginning",
            Self::Users => "reading users",
            Self::Teams => "reading teams",
            Self::Members => "reading the members of teams",
            Self::Writing => "writing",
            Self::Changing => "changing",
        }
    }

    /// The lane of its requests.
    fn lane(self) -> Lane {
        match self {
            Self::Changing => Lane::Provisioning,
            _ => Lane::Sync,
        }
    }
}

/// Counts a job's work. Shared between the job and the display.
#[derive(Debug, Default)]
pub struct Progress(Mutex<Counters>);

#[derive(Debug, Clone, Copy, Default)]
struct Counters {
    stage: Stage,
    rows: u64,
    teams_read: u32,
    teams: Option<u32>,
}

/// The progress of a job at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// The current stage.
    pub stage: Stage,
    /// Rows of this stage so far.
    pub rows: u64,
    /// The number of teams whose members were read.
    pub teams_read: u32,
    /// The number of teams, once it is known.
    pub teams: Option<u32>,
    /// Requests sent to Buildkite.
    pub requests: u64,
    /// When the last request is expected to be sent; `None` if that is not known, or if no rate limit delays it.
    pub done_at: Option<Instant>,
    /// When the rate limit that delays all requests resets, if one does.
    pub waiting_until: Option<Instant>,
}

impl Progress {
    /// Begins a stage.
    pub fn begin(&self, stage: Stage) {
        let mut counted = self.lock();
        counted.stage = stage;
        counted.rows = 0;
    }

    /// Counts rows that were read.
    pub(super) fn read(&self, rows: usize) {
        self.lock().rows += u64::try_from(rows).unwrap_or_default();
    }

    /// Sets the number of teams whose members are to be read.
    pub(super) fn expect(&self, teams: usize) {
        self.lock().teams = u32::try_from(teams).ok();
    }

    /// Counts a team whose members were read.
    pub(super) fn team_read(&self) {
        self.lock().teams_read += 1;
    }

    /// The progress of the job, with the state of the request budget of `governance`.
    #[must_use]
    pub fn status(&self, governance: &Governance) -> Status {
        let counted = *self.lock();
        let budget = governance.budget();
        let left = counted.teams.map(|teams| teams.saturating_sub(counted.teams_read));
        let reading = !matches!(counted.stage, Stage::Writing);
        let done_at = left
            .filter(|left| reading && *left > 0)
            .and_then(|left| governance.forecast(Lane::Sync, left));
        let is_waiting = |(lane, waiting): (Lane, usize)| lane == counted.stage.lane() && waiting > 0;
        let waits = reading && budget.in_flight == 0 && budget.waiting.into_iter().any(is_waiting);
        Status {
            stage: counted.stage,
            rows: counted.rows,
            teams_read: counted.teams_read,
            teams: counted.teams,
            requests: budget.sent,
            done_at,
            waiting_until: waits.then(|| governance.forecast(counted.stage.lane(), 1)).flatten(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counters> {
        // The counters are plain numbers: a panic while they were locked leaves no inconsistent state.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
