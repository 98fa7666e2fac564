//! The connections of a process: each is the governance of one organization under a name. Calls choose among them, and a reload of
//! the configuration file adds, replaces and removes them. A removed connection finishes what it has begun.
//!
//! A process that is configured by flags alone has one connection without a name.

#[cfg(test)]
pub(crate) mod examples;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::Governance;
use super::provisioning::Provisioning;
use crate::telemetry::metrics::ConnectionTag;

/// The longest name of a connection, in characters.
const MAX_NAME: usize = 63;

/// The time after its last use in which a connection is checked without being asked.
const IDLE_AFTER: Duration = Duration::from_secs(60 * 60);

/// The name of a connection: `[a-z0-9-]{1,63}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionName(Arc<str>);

/// The name has another form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a connection's name is 1 to 63 lower-case letters, digits and hyphens")]
pub struct InvalidConnectionName;

impl ConnectionName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The label of this connection's metrics.
    #[must_use]
    pub fn tag(&self) -> ConnectionTag {
        ConnectionTag::of(Arc::clone(&self.0))
    }

    /// The name as a key of limits.
    pub(crate) fn key(&self) -> &Arc<str> {
        &self.0
    }
}

impl FromStr for ConnectionName {
    type Err = InvalidConnectionName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if text.is_empty() || text.len() > MAX_NAME || !text.bytes().all(allowed) {
            return Err(InvalidConnectionName);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for ConnectionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A connection's name, and whether records state it: they do once the process has had several connections.
#[derive(Debug, Clone)]
pub struct ConnectionLabel {
    name: ConnectionName,
    several: Arc<AtomicBool>,
}

impl ConnectionLabel {
    /// The label of the connection `name`; `several` is shared by all connections of the process.
    #[must_use]
    pub fn new(name: ConnectionName, several: Arc<AtomicBool>) -> Self {
        Self { name, several }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &ConnectionName {
        &self.name
    }

    /// The name as records state it; `None` while the process has one connection.
    #[must_use]
    pub fn in_records(&self) -> Option<&str> {
        self.several.load(Ordering::Relaxed).then(|| self.name.as_str())
    }
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    /// Distinguishes a connection from its predecessor of the same name.
    id: u64,
    name: Option<ConnectionName>,
    governance: Arc<Governance>,
    used_at: Mutex<Option<Instant>>,
}

impl Connection {
    /// The connection with this name and governance. No call has used it.
    #[must_use]
    pub fn new(name: Option<ConnectionName>, governance: Arc<Governance>) -> Self {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            name,
            governance,
            used_at: Mutex::default(),
        }
    }

    /// Unique within the process.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Its name; `None` for the connection of a process without a configuration file that names connections.
    #[must_use]
    pub fn name(&self) -> Option<&ConnectionName> {
        self.name.as_ref()
    }

    /// Its governance.
    #[must_use]
    pub fn governance(&self) -> &Arc<Governance> {
        &self.governance
    }

    /// The label of its metrics.
    #[must_use]
    pub fn tag(&self) -> ConnectionTag {
        self.name.as_ref().map(ConnectionName::tag).unwrap_or_default()
    }

    /// Marks the connection as used by a call now.
    fn mark_used(&self) -> bool {
        let mut used_at = lock(&self.used_at);
        let was_idle = used_at.is_none_or(|used_at| used_at.elapsed() >= IDLE_AFTER);
        *used_at = Some(Instant::now());
        was_idle
    }

    /// Whether no call has used the connection in the last hour.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        lock(&self.used_at).is_none_or(|used_at| used_at.elapsed() >= IDLE_AFTER)
    }
}

/// The connections at one moment, by their names.
#[derive(Debug, Default)]
pub struct ConnectionSet(BTreeMap<Option<ConnectionName>, Arc<Connection>>);

impl ConnectionSet {
    /// All connections, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Connection>> {
        self.0.values()
    }

    /// The connection with this name.
    #[must_use]
    pub fn get(&self, name: &ConnectionName) -> Option<&Arc<Connection>> {
        self.0.get(&Some(name.clone()))
    }

    /// The only connection; `None` if there are several.
    #[must_use]
    pub fn only(&self) -> Option<&Arc<Connection>> {
        let first = self.0.values().next();
        first.filter(|_| !self.are_several())
    }

    /// Whether there are several.
    #[must_use]
    pub fn are_several(&self) -> bool {
        self.0.len() > 1
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn contains(&self, connection: &Connection) -> bool {
        let present = self.0.get(&connection.name);
        present.is_some_and(|present| present.id == connection.id)
    }
}

impl FromIterator<Arc<Connection>> for ConnectionSet {
    fn from_iter<T: IntoIterator<Item = Arc<Connection>>>(connections: T) -> Self {
        let named = connections
            .into_iter()
            .map(|connection| (connection.name.clone(), connection));
        Self(named.collect())
    }
}

/// The connections of a process. Clones share them.
#[derive(Debug, Clone)]
pub struct Connections(Arc<Registry>);

#[derive(Debug)]
struct Registry {
    current: ArcSwap<ConnectionSet>,
    /// What makes the changes of removed connections, while any is in progress.
    removed: Mutex<Vec<Weak<Provisioning>>>,
    changed: watch::Sender<()>,
    /// Notified when an idle connection was used.
    used: Notify,
    several: Arc<AtomicBool>,
}

impl From<Arc<Governance>> for Connections {
    /// One connection without a name.
    fn from(governance: Arc<Governance>) -> Self {
        let connections = Self::new(Arc::default());
        connections.replace([Arc::new(Connection::new(None, governance))].into_iter().collect());
        connections
    }
}

impl From<Arc<Connection>> for Connections {
    /// This connection alone.
    fn from(connection: Arc<Connection>) -> Self {
        let connections = Self::new(Arc::default());
        connections.replace([connection].into_iter().collect());
        connections
    }
}

impl Connections {
    /// No connections yet. `several` is shared with their labels, and set once there are several.
    #[must_use]
    pub fn new(several: Arc<AtomicBool>) -> Self {
        Self(Arc::new(Registry {
            current: ArcSwap::default(),
            removed: Mutex::default(),
            changed: watch::Sender::new(()),
            used: Notify::new(),
            several,
        }))
    }

    /// The connections now.
    #[must_use]
    pub fn current(&self) -> Arc<ConnectionSet> {
        self.0.current.load_full()
    }

    /// Puts `set` into force. Calls in progress keep the connections that they have.
    pub fn replace(&self, set: ConnectionSet) {
        if set.are_several() {
            self.0.several.store(true, Ordering::Relaxed);
        }
        let set = Arc::new(set);
        let before = self.0.current.swap(Arc::clone(&set));
        {
            let mut removed = lock(&self.0.removed);
            removed.retain(|provisioning| provisioning.strong_count() > 0);
            let gone = before.iter().filter(|connection| !set.contains(connection));
            removed.extend(gone.map(|connection| Arc::downgrade(connection.governance.provisioning())));
        }
        self.0.changed.send_replace(());
    }

    /// Marks a connection as used by a call, or by a question about its health.
    pub(crate) fn mark_used(&self, connection: &Connection) {
        if connection.mark_used() {
            self.0.used.notify_one();
        }
    }

    /// Resolves when an idle connection was used. Supports one listener at a time.
    pub(crate) async fn woken(&self) {
        self.0.used.notified().await;
    }

    /// Is changed after each [`Self::replace`].
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.0.changed.subscribe()
    }

    /// What makes the changes of every connection, also of those that were removed and have changes in progress.
    pub(crate) fn provisioning(&self) -> Vec<Arc<Provisioning>> {
        let removed: Vec<_> = lock(&self.0.removed).iter().filter_map(Weak::upgrade).collect();
        let current = self.current();
        let current = current
            .iter()
            .map(|connection| Arc::clone(connection.governance.provisioning()));
        current.chain(removed).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("northwind", true)]
    #[case("a", true)]
    #[case("0-9", true)]
    #[case(&"x".repeat(63), true)]
    #[case(&"x".repeat(64), false)]
    #[case("", false)]
    #[case("Northwind", false)]
    #[case("north_wind", false)]
    #[case("north/wind", false)]
    #[case("nörth", false)]
    fn a_name_has_one_form(#[case] text: &str, #[case] is_valid: bool) {
        assert_eq!(text.parse::<ConnectionName>().is_ok(), is_valid);
    }

    #[test]
    fn records_state_the_name_once_there_are_several() {
        let several = Arc::new(AtomicBool::new(false));
        let label = ConnectionLabel::new("acme".parse().unwrap(), Arc::clone(&several));
        assert_eq!(label.in_records(), None);
        several.store(true, Ordering::Relaxed);
        assert_eq!(label.in_records(), Some("acme"));
    }
}
