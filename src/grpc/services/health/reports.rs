//! The latest report of every connection, and who watches it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tonic_health::ServingStatus;

use super::process;
use crate::governance::connections::{Connection, ConnectionSet};
use crate::governance::health::Report;

/// The reports by the ids of the connections. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Reports {
    published: Arc<Mutex<HashMap<u64, Published>>>,
    /// Sent to after connections were added or removed.
    replaced: watch::Sender<()>,
}

#[derive(Debug)]
struct Published {
    connection: Arc<Connection>,
    report: watch::Sender<Report>,
}

impl Default for Reports {
    fn default() -> Self {
        Self {
            published: Arc::default(),
            replaced: watch::Sender::new(()),
        }
    }
}

impl Reports {
    /// Adds the connections of `set` that are new, and removes those that are gone, which ends their watches.
    pub(super) fn replace(&self, set: &ConnectionSet) {
        let mut published = self.lock();
        let mut kept = HashMap::with_capacity(set.len());
        for connection in set.iter() {
            let known = published.remove(&connection.id());
            let entry = known.unwrap_or_else(|| Published {
                connection: Arc::clone(connection),
                report: watch::Sender::new(connection.governance().health().latest()),
            });
            kept.insert(connection.id(), entry);
        }
        *published = kept;
    }

    /// Announces that connections were added or removed.
    pub(super) fn announce(&self) {
        self.replaced.send_replace(());
    }

    /// Is changed after connections were added or removed.
    pub(super) fn replacements(&self) -> watch::Receiver<()> {
        self.replaced.subscribe()
    }

    /// Whether `report` differs from the published one of `connection` in more than times.
    pub(super) fn is_news(&self, connection: &Connection, report: &Report) -> bool {
        let published = self.lock();
        published
            .get(&connection.id())
            .is_some_and(|known| known.report.borrow().without_timestamps() != report.without_timestamps())
    }

    /// Publishes the report of a connection.
    pub(super) fn set(&self, connection: &Connection, report: Report) {
        if let Some(known) = self.lock().get(&connection.id()) {
            known.report.send_replace(report);
        }
    }

    /// The published reports of a connection, from now on. `None` once it is gone.
    pub(super) fn subscribe(&self, connection: &Connection) -> Option<watch::Receiver<Report>> {
        self.lock().get(&connection.id()).map(|known| known.report.subscribe())
    }

    /// The status of every name of the process, with `newer` in place of the published report of its connection.
    pub(super) fn statuses(&self, newer: Option<(&Connection, &Report)>) -> BTreeMap<String, ServingStatus> {
        let mut statuses = process::Statuses::default();
        for (id, known) in &*self.lock() {
            match newer {
                Some((connection, report)) if connection.id() == *id => statuses.add(connection.governance(), report),
                _ => statuses.add(known.connection.governance(), &known.report.borrow()),
            }
        }
        statuses.finish()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Published>> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
