//! The open connections, and which of them is evicted at the limit.
//!
//! Only a connection without an authenticated call is evicted: first the oldest that never carried an authenticated call or a
//! client certificate, then the authenticated one that has been idle for longest.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::limits;

/// The open connections.
#[derive(Debug)]
pub(crate) struct PeerConnections {
    capacity: usize,
    open: Mutex<Open>,
    closing: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Open {
    next_id: u64,
    /// In the order in which they were opened.
    connections: BTreeMap<u64, Arc<PeerConnection>>,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct PeerConnection {
    activity: Mutex<Activity>,
    evicted: CancellationToken,
    closing: Arc<Semaphore>,
}

#[derive(Debug, Clone, Copy)]
struct Activity {
    authenticated: bool,
    calls: usize,
    idle_since: Instant,
}

/// A permit for a connection, released on drop.
#[derive(Debug)]
pub(crate) struct ConnectionPermit {
    id: u64,
    connection: Arc<PeerConnection>,
    connections: Arc<PeerConnections>,
}

/// An authenticated call in progress, until the last clone is dropped.
#[derive(Debug, Clone)]
pub(crate) struct ActiveCall {
    _guard: Arc<CallGuard>,
}

#[derive(Debug)]
struct CallGuard(Arc<PeerConnection>);

impl PeerConnections {
    /// Allows at most `capacity` connections.
    pub(crate) fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self {
            capacity,
            open: Mutex::default(),
            closing: Arc::new(Semaphore::new(limits::MAX_CLOSING_CONNECTIONS)),
        })
    }

    /// Admits a new connection; at the limit, evicts another one. `None` if every other connection has an authenticated
    /// call in progress.
    pub(crate) fn admit(self: &Arc<Self>) -> Option<ConnectionPermit> {
        let mut open = lock(&self.open);
        if open.connections.len() >= self.capacity {
            let evicted = open.evictable().and_then(|id| open.connections.remove(&id))?;
            tracing::info!("the limit of connections is reached: an idle one was evicted for a new one");
            evicted.evicted.cancel();
        }
        let connection = Arc::new(PeerConnection {
            activity: Mutex::new(Activity {
                authenticated: false,
                calls: 0,
                idle_since: Instant::now(),
            }),
            evicted: CancellationToken::new(),
            closing: Arc::clone(&self.closing),
        });
        let id = open.next_id;
        open.next_id += 1;
        open.connections.insert(id, Arc::clone(&connection));
        Some(ConnectionPermit {
            id,
            connection,
            connections: Arc::clone(self),
        })
    }
}

impl Open {
    /// The connection to evict first.
    fn evictable(&self) -> Option<u64> {
        let idle = self.connections.iter().filter_map(|(id, connection)| {
            let activity = *lock(&connection.activity);
            (activity.calls == 0).then_some((activity, *id))
        });
        idle.min_by_key(|(activity, id)| (activity.authenticated.then_some(activity.idle_since), *id))
            .map(|(_, id)| id)
    }
}

impl PeerConnection {
    /// Marks the connection as one of a caller, and keeps it from being evicted until the result is dropped.
    pub(crate) fn begin_call(self: &Arc<Self>) -> ActiveCall {
        let mut activity = lock(&self.activity);
        activity.authenticated = true;
        activity.calls += 1;
        ActiveCall {
            _guard: Arc::new(CallGuard(Arc::clone(self))),
        }
    }

    /// Marks the connection as one with a verified client certificate.
    pub(crate) fn authenticated(&self) {
        lock(&self.activity).authenticated = true;
    }

    /// Whether an authenticated call is in progress.
    pub(crate) fn is_busy(&self) -> bool {
        lock(&self.activity).calls > 0
    }

    /// Cancelled when the connection is evicted.
    pub(crate) fn evicted(&self) -> &CancellationToken {
        &self.evicted
    }

    /// A permit to stay open until GOAWAY is sent. `None` if too many connections are closing.
    pub(crate) fn closing_permit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.closing).try_acquire_owned().ok()
    }
}

impl ConnectionPermit {
    pub(crate) fn connection(&self) -> &Arc<PeerConnection> {
        &self.connection
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        lock(&self.connections.open).connections.remove(&self.id);
    }
}

impl Drop for CallGuard {
    fn drop(&mut self) {
        let mut activity = lock(&self.0.activity);
        activity.calls = activity.calls.saturating_sub(1);
        activity.idle_since = Instant::now();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::advance;

    use super::*;

    fn is_evicted(permit: &ConnectionPermit) -> bool {
        permit.connection().evicted().is_cancelled()
    }

    /// Opens one connection more than there are places, and says which of `open` made way.
    fn evicted_by_a_new_one(connections: &Arc<PeerConnections>, open: &[&ConnectionPermit]) -> Vec<usize> {
        let before: Vec<bool> = open.iter().map(|permit| is_evicted(permit)).collect();
        let _new = connections.admit();
        let now = open.iter().map(|permit| is_evicted(permit));
        now.zip(before)
            .enumerate()
            .filter(|(_, (now, before))| now != before)
            .map(|(index, _)| index)
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn unauthenticated_connections_are_evicted_oldest_first_and_then_the_longest_idle_caller() {
        let connections = PeerConnections::new(4);
        let [one, two, three, four] = std::array::from_fn(|_| connections.admit().unwrap());
        drop(two.connection().begin_call());
        advance(Duration::from_secs(1)).await;
        one.connection().authenticated();
        drop(one.connection().begin_call());
        let open = [&one, &two, &three, &four];
        // The new connection is gone again behind each of these, and its place stays free.
        assert_eq!(evicted_by_a_new_one(&connections, &open), [2]);
        let third = connections.admit().unwrap();
        let _call = third.connection().begin_call();
        assert_eq!(evicted_by_a_new_one(&connections, &open), [3]);
        let fourth = connections.admit().unwrap();
        let _call = fourth.connection().begin_call();
        assert_eq!(evicted_by_a_new_one(&connections, &open), [1]);
        let second = connections.admit().unwrap();
        let _call = second.connection().begin_call();
        assert_eq!(evicted_by_a_new_one(&connections, &open), [0]);
    }

    #[tokio::test]
    async fn a_connection_with_an_authenticated_call_never_makes_way() {
        let connections = PeerConnections::new(2);
        let [one, two] = std::array::from_fn(|_| connections.admit().unwrap());
        let [first, second] = [&one, &two].map(|permit| permit.connection().begin_call());
        assert!(connections.admit().is_none());
        let held = second.clone();
        drop(second);
        assert!(connections.admit().is_none());
        drop(held);
        assert_eq!(evicted_by_a_new_one(&connections, &[&one, &two]), [1]);
        drop(first);
    }

    #[tokio::test]
    async fn a_place_is_free_when_its_connection_is_gone() {
        let connections = PeerConnections::new(1);
        drop(connections.admit().unwrap());
        let one = connections.admit().unwrap();
        let _call = one.connection().begin_call();
        assert!(connections.admit().is_none());
        drop(one);
        assert!(connections.admit().is_some());
    }
}
