//! How far a job is, for whoever shows it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::governance::{Governance, Lane};

/// What a job does at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stage {
    /// Nothing was read yet.
    #[default]
    Beginning,
    /// The organization's users are read.
    Users,
    /// Its teams are read.
    Teams,
    /// The members of the teams are read.
    Members,
    /// Everything was read, and the file is completed.
    Writing,
    /// A change is decided on, made and confirmed.
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

    /// The lane on which its requests wait.
    fn lane(self) -> Lane {
        match self {
            Self::Changing => Lane::Provisioning,
            _ => Lane::Sync,
        }
    }
}

/// Counts a job's work. Shared between the job and whoever shows it.
#[derive(Debug, Default)]
pub struct Progress(Mutex<Counted>);

#[derive(Debug, Clone, Copy, Default)]
struct Counted {
    stage: Stage,
    rows: u64,
    teams_read: u32,
    teams: Option<u32>,
}

/// How far a job is at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// What it does.
    pub stage: Stage,
    /// Rows of this stage so far.
    pub rows: u64,
    /// Teams whose members were read.
    pub teams_read: u32,
    /// How many teams there are, once that is known.
    pub teams: Option<u32>,
    /// Requests sent to Buildkite.
    pub requests: u64,
    /// When the last request is likely to have its turn; none where that is not known, or no rate limit is in the way.
    pub done_at: Option<Instant>,
    /// Until when a rate limit keeps everything waiting.
    pub waiting_until: Option<Instant>,
}

impl Progress {
    /// The stage that was begun.
    pub fn begin(&self, stage: Stage) {
        let mut counted = self.lock();
        counted.stage = stage;
        counted.rows = 0;
    }

    /// Rows were read.
    pub(super) fn read(&self, rows: usize) {
        self.lock().rows += u64::try_from(rows).unwrap_or_default();
    }

    /// The members of so many teams are to be read.
    pub(super) fn expect(&self, teams: usize) {
        self.lock().teams = u32::try_from(teams).ok();
    }

    /// The members of a team were read.
    pub(super) fn team_read(&self) {
        self.lock().teams_read += 1;
    }

    /// How far the job is, with what the request budget of `access` adds to that.
    #[must_use]
    pub fn status(&self, access: &Governance) -> Status {
        let counted = *self.lock();
        let budget = access.budget();
        let left = counted.teams.map(|teams| teams.saturating_sub(counted.teams_read));
        let reading = !matches!(counted.stage, Stage::Writing);
        let done_at = left
            .filter(|left| reading && *left > 0)
            .and_then(|left| access.forecast(Lane::Sync, left));
        let is_waiting = |(lane, waiting): (Lane, usize)| lane == counted.stage.lane() && waiting > 0;
        let waits = reading && budget.in_flight == 0 && budget.waiting.into_iter().any(is_waiting);
        Status {
            stage: counted.stage,
            rows: counted.rows,
            teams_read: counted.teams_read,
            teams: counted.teams,
            requests: budget.sent,
            done_at,
            waiting_until: waits.then(|| access.forecast(counted.stage.lane(), 1)).flatten(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counted> {
        // Plain numbers: a panic elsewhere left nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
