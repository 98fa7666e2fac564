//! The connections that are served, by the configuration file as it is now.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::cli::CommandError;
use crate::cli::connection::{OpenConnection, Process, environment};
use crate::cli::settings::file::NamedConnection;
use crate::governance::connections::{Connection, ConnectionSet, Connections};
use crate::governance::health::ConfigurationProblem;
use crate::providers::buildkite::Credential;

/// A connection that is served, with the settings that it was opened with.
#[derive(Debug)]
pub(super) struct ServedConnection {
    flags: Vec<OsString>,
    health_interval: Duration,
    open: OpenConnection,
    connection: Arc<Connection>,
}

impl ServedConnection {
    /// Serves an open connection by the settings of `named`.
    pub(super) fn new(named: &NamedConnection, open: OpenConnection) -> Self {
        let connection = Connection::new(named.name.clone(), Arc::clone(&open.governance));
        Self {
            flags: named.flags.clone(),
            health_interval: named.args.health.interval(),
            connection: Arc::new(connection),
            open,
        }
    }

    /// The connection, as calls choose it.
    pub(super) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// Its credentials.
    pub(super) fn credentials(&self) -> &[Arc<Credential>] {
        &self.open.credentials
    }

    /// The interval of its health checks.
    pub(super) fn health_interval(&self) -> Duration {
        self.health_interval
    }

    /// Whether a caller may change something through it.
    pub(super) fn allows_changes(&self) -> bool {
        !self.open.coverage.allowed().is_empty()
    }

    fn is(&self, named: &NamedConnection) -> bool {
        self.connection.name() == named.name.as_ref() && self.flags == named.flags
    }
}

/// The connections that are served.
#[derive(Debug)]
pub(super) struct Served {
    process: Process,
    connections: Connections,
    in_force: ArcSwap<Vec<Arc<ServedConnection>>>,
}

impl Served {
    /// Serves these connections, which share `process`.
    pub(super) fn new(process: Process, opened: Vec<Arc<ServedConnection>>) -> Self {
        let served = Self {
            connections: Connections::new(Arc::clone(&process.several)),
            process,
            in_force: ArcSwap::default(),
        };
        served.put_into_force(opened);
        served
    }

    /// The connections, as calls choose among them.
    pub(super) fn connections(&self) -> Connections {
        self.connections.clone()
    }

    /// Their credentials.
    pub(super) fn credentials(&self) -> Vec<Arc<Credential>> {
        let in_force = self.in_force();
        in_force
            .iter()
            .flat_map(|one| one.credentials().iter().cloned())
            .collect()
    }

    /// Whether a caller may change something.
    pub(super) fn allows_changes(&self) -> bool {
        self.in_force().iter().any(|one| one.allows_changes())
    }

    /// Reports to every connection whether the configuration file is in force; `None` if it is.
    pub(super) fn report_configuration(&self, problem: Option<ConfigurationProblem>) {
        let is_news = self
            .process
            .configuration
            .as_ref()
            .is_some_and(|status| status.set(problem));
        if is_news {
            for one in self.in_force().iter() {
                one.connection.governance().health().notify();
            }
        }
    }

    /// The connections that are served now.
    pub(super) fn in_force(&self) -> Arc<Vec<Arc<ServedConnection>>> {
        self.in_force.load_full()
    }

    /// The connections that `named` describe: those that are served already, as they are, and new ones for the others.
    ///
    /// # Errors
    /// A connection cannot be opened. The error names its place in the file.
    pub(super) fn open(&self, named: &[NamedConnection]) -> Result<Vec<Arc<ServedConnection>>, CommandError> {
        let in_force = self.in_force();
        let by_name: BTreeMap<_, _> = in_force.iter().map(|one| (one.connection.name(), one)).collect();
        let open = |named: &NamedConnection| match by_name.get(&named.name.as_ref()) {
            Some(one) if one.is(named) => Ok(Arc::clone(one)),
            _ => open(&self.process, named),
        };
        named.iter().map(open).collect()
    }

    /// Serves these connections and no others. A connection that is served no longer finishes what it has begun.
    pub(super) fn put_into_force(&self, opened: Vec<Arc<ServedConnection>>) {
        let set: ConnectionSet = opened.iter().map(|one| Arc::clone(&one.connection)).collect();
        self.in_force.store(Arc::new(opened));
        self.connections.replace(set);
    }
}

/// Opens a connection to Buildkite.
///
/// # Errors
/// A setting is wrong or missing, or the client cannot be created.
pub(super) fn open(process: &Process, named: &NamedConnection) -> Result<Arc<ServedConnection>, CommandError> {
    let open = OpenConnection::to_buildkite(process, named, environment, |settings| settings)?;
    Ok(Arc::new(ServedConnection::new(named, open)))
}
