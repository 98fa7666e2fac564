//! Follows the configuration file while `serve` runs: connections begin, change and end without a restart.
//!
//! A file that cannot be used is refused whole, and what was read before stays in force. What applies at the next start only, such as
//! the address of the listener, is told by the check `configuration`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_stream::StreamExt;
use tokio_util::task::AbortOnDropHandle;

use super::served::{Served, ServedConnection};
use crate::cli::settings::file::Loaded;
use crate::cli::settings::{ListenerArgs, SettingError};
use crate::cli::{Cli, CommandError};
use crate::governance::connections::ConnectionName;
use crate::governance::health::ConfigurationProblem;
use crate::grpc::server::{Callers, RateLimitHandle, ReloadTrigger, Reloadable};

/// The key of the limit of calls, which applies without a restart.
const CALLS_PER_SECOND: &str = "calls_per_second";

/// What to do about a file that cannot be used.
const CORRECT_THE_FILE: &str = "correct the file; until then the settings that were read before stay in force";

/// What to do about a setting that applies at the next start.
const RESTART: &str = "restart the connector to apply it";

/// What connections have to fit, or what the file changes beside them.
#[derive(Debug)]
pub(super) struct Surroundings {
    /// The listener of the process.
    pub(super) listener: ListenerArgs,
    /// The callers, who may name connections.
    pub(super) callers: Option<Reloadable<Callers>>,
    /// The limit of calls.
    pub(super) rate_limit: RateLimitHandle,
}

/// Follows the file until it is dropped.
#[derive(Debug)]
pub(super) struct Configuration {
    file: Reloadable<()>,
    _retry: Option<AbortOnDropHandle<()>>,
}

impl Configuration {
    /// Follows the file that `loaded` was read from and that is in force, and puts its changes into force in `served`. Must be called
    /// within a runtime.
    pub(super) fn follow(loaded: &Loaded, served: Arc<Served>, surroundings: Surroundings) -> Self {
        served.report_configuration(None);
        let callers = surroundings.callers.clone();
        let file = ConfigurationFile {
            path: loaded.path.clone(),
            arguments: loaded.arguments.clone(),
            at_start: loaded.of_process.clone(),
            calls_per_second: Mutex::new(surroundings.listener.calls_per_second()),
            served,
            surroundings,
        };
        // The file is read on another thread, and clients are created within the runtime.
        let runtime = tokio::runtime::Handle::current();
        let seen = vec![Some(loaded.text.clone().into_bytes())];
        let file = Reloadable::follow("configuration", vec![loaded.path.clone()], seen, (), move || {
            let _runtime = runtime.enter();
            file.read_again()
        });
        let trigger = file.trigger();
        let retry = callers.map(|callers| AbortOnDropHandle::new(tokio::spawn(retry_after_changes(callers, trigger))));
        Self { file, _retry: retry }
    }

    /// Reads the file now.
    pub(super) fn trigger(&self) -> ReloadTrigger {
        self.file.trigger()
    }
}

/// A file that was refused because of a caller is tried again when the callers have changed.
async fn retry_after_changes(callers: Reloadable<Callers>, configuration: ReloadTrigger) {
    let mut changes = callers.changes().skip(1);
    while changes.next().await.is_some() {
        configuration.fire();
    }
}

/// The file, and what it is put into force in.
struct ConfigurationFile {
    path: PathBuf,
    /// The command line.
    arguments: Vec<OsString>,
    /// The settings of the process when it started.
    at_start: BTreeMap<String, Vec<OsString>>,
    calls_per_second: Mutex<Option<NonZeroU32>>,
    served: Arc<Served>,
    surroundings: Surroundings,
}

impl ConfigurationFile {
    /// Puts the file as it is now into force, and reports whether that was possible. Every connection has the report in its health,
    /// so that it names no other connection, no caller and no secret: the cause is the error that is returned, for the log.
    fn read_again(&self) -> Result<(), CommandError> {
        let applied = self.apply();
        self.served.report_configuration(match &applied {
            Ok(for_next_start) if for_next_start.is_empty() => None,
            Ok(for_next_start) => Some(ConfigurationProblem {
                summary: format!(
                    "{}: {} changed since the start",
                    self.path.display(),
                    for_next_start.join(", ")
                ),
                remedy: RESTART.to_owned(),
            }),
            Err(error) => Some(ConfigurationProblem {
                summary: self.cannot_be_used(error),
                remedy: CORRECT_THE_FILE.to_owned(),
            }),
        });
        applied.map(|_| ())
    }

    /// The report of a file that cannot be used: its path and, if there is one, the line of the error.
    fn cannot_be_used(&self, error: &CommandError) -> String {
        let line = match error {
            CommandError::Setting(error) => error.line(),
            _ => None,
        };
        SettingError::of_file(&self.path, line, "cannot be used: see the log").to_string()
    }

    /// Returns the settings that changed and apply at the next start.
    fn apply(&self) -> Result<Vec<String>, CommandError> {
        let (listener, loaded) = Cli::serve_again(&self.arguments)?;
        let opened = self.served.open(&loaded.connections)?;
        // What was refused at the start is refused now.
        let allows_changes = opened.iter().any(|one| one.allows_changes());
        self.surroundings.listener.address(allows_changes)?;
        let next_callers = self.next_callers(&opened)?;
        self.served.put_into_force(opened);
        self.limit_calls(listener.calls_per_second());
        if let Some(next_callers) = next_callers {
            next_callers.warn_of_unusable(&self.served.connections().current());
        }
        if let Some(callers) = &self.surroundings.callers {
            // Those that were refused because of a connection may be right now.
            callers.trigger().fire();
        }
        let mut changed: Vec<String> = loaded
            .of_process
            .iter()
            .filter(|(key, value)| *key != CALLS_PER_SECOND && self.at_start.get(*key) != Some(value))
            .map(|(key, _)| format!("`{key}`"))
            .collect();
        changed.sort();
        Ok(changed)
    }

    /// The callers for these connections: those in force, or those of their file if it has changed together with the configuration
    /// file, such as for a connection with a new name. `None` without a callers file.
    ///
    /// # Errors
    /// The callers in force name a connection that these lack, and their file does too, or cannot be used.
    fn next_callers(&self, opened: &[Arc<ServedConnection>]) -> Result<Option<Arc<Callers>>, SettingError> {
        let Some(callers) = &self.surroundings.callers else {
            return Ok(None);
        };
        let exists = |name: &ConnectionName| opened.iter().any(|one| one.connection().name() == Some(name));
        let in_force = callers.current();
        let Some((caller, connection)) = in_force.unknown_connection(exists) else {
            return Ok(Some(in_force));
        };
        let on_disk = self.surroundings.listener.callers_file().map(Callers::load);
        if let Some(Ok(on_disk)) = on_disk
            && on_disk.unknown_connection(exists).is_none()
        {
            return Ok(Some(Arc::new(on_disk)));
        }
        let problem = format!(
            "the caller `{caller}` may use the connection `{connection}`, which is not in the file: keep it, or change the callers file \
             as well"
        );
        Err(SettingError::of_file(&self.path, None, problem))
    }

    /// A new limit gives every caller a whole burst, so that the same limit is not set again.
    fn limit_calls(&self, calls_per_second: Option<NonZeroU32>) {
        let mut in_force = self.calls_per_second.lock().unwrap_or_else(PoisonError::into_inner);
        if *in_force != calls_per_second {
            *in_force = calls_per_second;
            self.surroundings.rate_limit.set(calls_per_second);
        }
    }
}
