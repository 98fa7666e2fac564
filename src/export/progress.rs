//! The progress of a job, for display.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::plural::plural;
use crate::governance::model::{Catalog, ResourceKind, ResourceTypeInfo};
use crate::governance::{Governance, Lane};

/// The current stage of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stage {
    /// Nothing was read yet.
    #[default]
    Beginning,
    /// Reads the organization's resources of a type.
    Resources(&'static ResourceTypeInfo),
    /// Reads the grants of the resources of a type, or of several types.
    Grants(Option<&'static ResourceTypeInfo>),
    /// Completes the file, after everything was read.
    Writing,
    /// Plans, makes and confirms a change.
    Changing,
}

impl Stage {
    /// The lane of its requests.
    fn lane(self) -> Lane {
        match self {
            Self::Changing => Lane::Provisioning,
            _ => Lane::Sync,
        }
    }
}

impl fmt::Display for Stage {
    /// The stage in words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Beginning => f.write_str("beginning"),
            Self::Resources(of) => write!(f, "reading {}", plural(of.display_name)),
            Self::Grants(Some(of)) if of.kind == ResourceKind::Group => {
                write!(f, "reading the members of {}", plural(of.display_name))
            }
            Self::Grants(Some(of)) => write!(f, "reading the grants of {}", plural(of.display_name)),
            Self::Grants(None) => f.write_str("reading grants"),
            Self::Writing => f.write_str("writing"),
            Self::Changing => f.write_str("changing"),
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
    granting_type: Option<&'static ResourceTypeInfo>,
    resources_read: u32,
    resources: Option<u32>,
}

/// The progress of a job at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// The current stage.
    pub stage: Stage,
    /// Rows of this stage so far.
    pub rows: u64,
    /// The type of the resources whose grants are read; `None` if they are of several types.
    pub granting_type: Option<&'static ResourceTypeInfo>,
    /// The number of resources whose grants were read.
    pub resources_read: u32,
    /// The number of resources whose grants are to be read, once it is known.
    pub resources: Option<u32>,
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

    /// Begins to read the grants of this number of resources, whose types are among those of `catalog`.
    pub(super) fn begin_grants(&self, catalog: &Catalog, resources: usize) {
        let mut granting = catalog.types().iter().copied().filter(|known| known.has_grants());
        let only = granting.next().filter(|_| granting.next().is_none());
        self.begin(Stage::Grants(only));
        let mut counted = self.lock();
        counted.granting_type = only;
        counted.resources = u32::try_from(resources).ok();
    }

    /// Counts a resource whose grants were read.
    pub(super) fn resource_read(&self) {
        self.lock().resources_read += 1;
    }

    /// The progress of the job, with the state of the request budget of `governance`.
    #[must_use]
    pub fn status(&self, governance: &Governance) -> Status {
        let counted = *self.lock();
        let budget = governance.budget();
        let left = counted
            .resources
            .map(|resources| resources.saturating_sub(counted.resources_read));
        let reading = !matches!(counted.stage, Stage::Writing);
        let done_at = left
            .filter(|left| reading && *left > 0)
            .and_then(|left| governance.forecast(Lane::Sync, left));
        let is_waiting = |(lane, waiting): (Lane, usize)| lane == counted.stage.lane() && waiting > 0;
        let waits = reading && budget.in_flight == 0 && budget.waiting.into_iter().any(is_waiting);
        Status {
            stage: counted.stage,
            rows: counted.rows,
            granting_type: counted.granting_type,
            resources_read: counted.resources_read,
            resources: counted.resources,
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
