//! The check `configuration`: whether the configuration file, as it is now, is in force. Only a process that reads the file again
//! when it changes has the check.

use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use super::check::{CheckInfo, CheckResult, State};

/// The check.
pub static CONFIGURATION: CheckInfo = CheckInfo {
    id: "configuration",
    scope: None,
    probe: "none: the configuration file is read every second",
    endpoint: "configuration",
    impact: "changes of the configuration file do not apply",
    degraded_when: "the file cannot be used, and the settings that were read before stay in force, or a setting changed that applies at \
                    the next start",
    for_writes: false,
    for_others: false,
    required_by: &[],
};

/// Why the configuration file, as it is now, is not in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigurationProblem {
    /// One sentence that names the file and, if there is one, the line.
    pub summary: String,
    /// One sentence about what to do.
    pub remedy: String,
}

/// The state of the configuration file, which all connections of a process share.
#[derive(Debug, Default)]
pub struct ConfigurationStatus(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    problem: Option<ConfigurationProblem>,
    read_at: Option<Timestamp>,
}

impl ConfigurationStatus {
    /// Sets the result of the last reading; `None` if the file is in force. Returns whether it differs from the one before.
    pub fn set(&self, problem: Option<ConfigurationProblem>) -> bool {
        let mut known = self.lock();
        known.read_at = Some(Timestamp::now());
        let is_news = known.problem != problem;
        known.problem = problem;
        is_news
    }

    /// The result of the check.
    pub(super) fn result(&self) -> CheckResult {
        let known = self.lock();
        let (state, summary, remedy) = match &known.problem {
            Some(problem) => (State::Degraded, problem.summary.clone(), problem.remedy.clone()),
            None => (
                State::Healthy,
                "the configuration file is in force".to_owned(),
                String::new(),
            ),
        };
        CheckResult {
            name: None,
            check: &CONFIGURATION,
            state,
            summary,
            remedy,
            hints: Vec::new(),
            checked_at: known.read_at,
            latency: None,
            seen_at: None,
            error: None,
            concerns_changes_only: false,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
