//! The sessions of syncs: what is kept of each sync while a client reads its lists.
//!
//! A session belongs to a sync id, and to the empty id for the clients that send none. It begins with the first request of the
//! sync and is removed when the sync ends. Three parts work on it: [`super::prefetch`] keeps the rows that the client is expected to
//! request next, [`super::carried`] reads the access that principals carry, and [`super::unlisted_users`] records what the lists
//! showed. A sync that is idle loses its rows, which can be read again, but not what it recorded, which cannot.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;

use super::carried::SessionReadings;
use super::observed_lists::ObservedLists;
use super::prefetch::PrefetchedLists;

/// The rows of a session without requests for this long are freed. Longer than a client waits for a rate limit window.
/// One of the limits of prefetching, with those in `prefetch/limits.rs`.
pub(super) const SESSION_IDLE_TIMEOUT: Duration = Duration::from_secs(120);

/// Maximum number of sessions; the session that was unused for longest gives way. A platform runs one sync, and a second while the
/// first one ends. One of the limits of prefetching, with those in `prefetch/limits.rs`.
pub(super) const MAX_SESSIONS: usize = 8;

/// The sessions, by sync id.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    sessions: HashMap<String, Session>,
    /// Whether a task frees the rows of idle sessions.
    is_sweeping: bool,
}

/// One sync.
#[derive(Debug)]
struct Session {
    observed: ObservedLists,
    /// `None` before the first prefetch, and after an idle time.
    prefetched: Option<PrefetchedLists>,
    carried: SessionReadings,
    began: Instant,
    last_used: Instant,
}

/// The session of one sync, which is created when it is updated first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SessionHandle<'a> {
    sessions: &'a Sessions,
    id: &'a str,
}

/// The session of one sync, for a task that may outlive it.
#[derive(Debug)]
pub(crate) struct WeakSession {
    state: Weak<Mutex<State>>,
    id: String,
}

impl Sessions {
    /// The session of the sync `id`.
    pub(crate) fn session<'a>(&'a self, id: &'a str) -> SessionHandle<'a> {
        SessionHandle { sessions: self, id }
    }

    /// Removes the session of the sync `id`, with its rows, and returns what the sync read; `None` if there is no session.
    pub(crate) fn end(&self, id: &str) -> Option<ObservedLists> {
        let ended = lock(&self.state).sessions.remove(id)?;
        Some(ended.observed)
    }

    fn update<T>(&self, id: &str, update: impl FnOnce(&mut Session) -> T) -> T {
        lock(&self.state).update(id, update)
    }

    /// Starts to free the rows of idle sessions, unless that was started before. Must be called within a runtime.
    fn start_sweep(&self, state: &mut State) {
        if !state.is_sweeping {
            state.is_sweeping = true;
            tokio::spawn(sweep(Arc::downgrade(&self.state)));
        }
    }
}

impl SessionHandle<'_> {
    /// Whether the client sent an id. Without one, requests of several syncs share the session.
    pub(super) fn has_id(self) -> bool {
        !self.id.is_empty()
    }

    /// When the sync sent its first request to this process; `None` for requests without an id, which belong to several syncs.
    pub(super) fn began(self) -> Option<Instant> {
        self.has_id()
            .then(|| self.sessions.update(self.id, |session| session.began))
    }

    /// Runs `update` on the record of what the sync read.
    pub(super) fn update_observed<T>(self, update: impl FnOnce(&mut ObservedLists) -> T) -> T {
        self.sessions.update(self.id, |session| update(&mut session.observed))
    }

    /// Runs `update` on the prefetched rows of the sync. Must be called within a runtime.
    pub(super) fn update_prefetched<T>(self, update: impl FnOnce(&mut PrefetchedLists) -> T) -> T {
        let mut state = lock(&self.sessions.state);
        self.sessions.start_sweep(&mut state);
        state.update(self.id, |session| update(session.prefetched.get_or_insert_default()))
    }

    /// Runs `update` on the readings of carried access of the sync, and on the record of what it read. Must be called within a
    /// runtime.
    pub(super) fn update_carried<T>(self, update: impl FnOnce(&mut SessionReadings, &ObservedLists) -> T) -> T {
        let mut state = lock(&self.sessions.state);
        self.sessions.start_sweep(&mut state);
        state.update(self.id, |session| update(&mut session.carried, &session.observed))
    }

    /// Keeps the rows of the sync, if it has a session: its client continues, although it requests nothing of them.
    pub(super) fn keep_alive(self) {
        if let Some(session) = lock(&self.sessions.state).sessions.get_mut(self.id) {
            session.last_used = Instant::now();
        }
    }

    /// The same session, for a task that must not keep it.
    pub(super) fn downgrade(self) -> WeakSession {
        WeakSession {
            state: Arc::downgrade(&self.sessions.state),
            id: self.id.to_owned(),
        }
    }
}

impl WeakSession {
    /// Runs `update` on the prefetched rows of the sync, unless they were freed. The session does not count as used.
    pub(super) fn update_prefetched(&self, update: impl FnOnce(&mut PrefetchedLists)) {
        let Some(state) = self.state.upgrade() else {
            return;
        };
        let mut state = lock(&state);
        let session = state.sessions.get_mut(&self.id);
        if let Some(prefetched) = session.and_then(|session| session.prefetched.as_mut()) {
            update(prefetched);
        }
    }
}

impl State {
    fn update<T>(&mut self, id: &str, update: impl FnOnce(&mut Session) -> T) -> T {
        let now = Instant::now();
        let session = if let Some(session) = self.sessions.get_mut(id) {
            session
        } else {
            if self.sessions.len() >= MAX_SESSIONS {
                self.evict();
            }
            self.sessions.entry(id.to_owned()).or_insert_with(|| Session {
                observed: ObservedLists::default(),
                prefetched: None,
                carried: SessionReadings::default(),
                began: now,
                last_used: now,
            })
        };
        session.last_used = now;
        update(session)
    }

    /// Removes the session that was unused for longest.
    fn evict(&mut self) {
        let unused_longest = self.sessions.iter().min_by_key(|(_, session)| session.last_used);
        if let Some(id) = unused_longest.map(|(id, _)| id.clone()) {
            self.sessions.remove(&id);
        }
    }
}

/// Frees the rows of idle sessions, until no session has any.
async fn sweep(state: Weak<Mutex<State>>) {
    loop {
        tokio::time::sleep(SESSION_IDLE_TIMEOUT / 4).await;
        let Some(state) = state.upgrade() else {
            return;
        };
        let mut state = lock(&state);
        for session in state.sessions.values_mut() {
            if session.last_used.elapsed() >= SESSION_IDLE_TIMEOUT {
                session.prefetched = None;
            }
            session.carried.free_idle(session.last_used, SESSION_IDLE_TIMEOUT);
        }
        let mut sessions = state.sessions.values();
        if sessions.all(|session| session.prefetched.is_none() && session.carried.is_empty()) {
            state.is_sweeping = false;
            return;
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // Every change of the state is complete before anything that could panic.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
impl Sessions {
    /// How many sessions there are, and how many of them have prefetched rows or reads.
    pub(super) fn counts(&self) -> (usize, usize) {
        let state = lock(&self.state);
        let prefetched = state.sessions.values().filter(|session| session.prefetched.is_some());
        (state.sessions.len(), prefetched.count())
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::governance::model::examples::USER;
    use crate::governance::sync::observed_lists::PageEnds;

    /// Reads a complete list of users in the sync.
    fn read_users(sessions: &Sessions, id: &str) {
        let only_page = PageEnds {
            is_first: true,
            is_last: true,
        };
        let session = sessions.session(id);
        session.update_observed(|observed| observed.record_resources(&USER, only_page, [Uuid::nil()].into_iter()));
    }

    fn has_read_users(sessions: &Sessions, id: &str) -> bool {
        let observed = sessions.end(id);
        observed.is_some_and(|observed| observed.is_complete(&USER))
    }

    #[tokio::test(start_paused = true)]
    async fn the_session_that_was_unused_for_longest_gives_way() {
        let sessions = Sessions::default();
        for number in 0..MAX_SESSIONS {
            read_users(&sessions, &number.to_string());
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        // The oldest session is in use.
        sessions.session("0").update_prefetched(|_| ());
        tokio::time::advance(Duration::from_millis(1)).await;
        read_users(&sessions, "new");
        assert_eq!(sessions.counts().0, MAX_SESSIONS);
        assert!(has_read_users(&sessions, "0"));
        assert!(!has_read_users(&sessions, "1"));
        assert!(has_read_users(&sessions, "2"));
        assert!(has_read_users(&sessions, "new"));
    }

    #[test]
    fn the_number_of_sessions_is_bounded() {
        let sessions = Sessions::default();
        for number in 0..1_000 {
            read_users(&sessions, &number.to_string());
        }
        assert_eq!(sessions.counts().0, MAX_SESSIONS);
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_session_loses_what_is_prefetched_and_keeps_what_it_read() {
        let sessions = Sessions::default();
        for round in 0..2 {
            read_users(&sessions, "one");
            sessions.session("one").update_prefetched(|_| ());
            tokio::time::sleep(SESSION_IDLE_TIMEOUT / 2).await;
            assert_eq!(sessions.counts(), (1, 1), "round {round}: a pause frees nothing");
            tokio::time::sleep(SESSION_IDLE_TIMEOUT).await;
            assert_eq!(sessions.counts(), (1, 0), "round {round}");
        }
        assert!(has_read_users(&sessions, "one"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_outlives_its_session_changes_nothing() {
        let sessions = Sessions::default();
        sessions.session("one").update_prefetched(|_| ());
        let weak = sessions.session("one").downgrade();
        let mut updates = 0;
        weak.update_prefetched(|_| updates += 1);
        sessions.end("one");
        weak.update_prefetched(|_| updates += 1);
        read_users(&sessions, "one");
        weak.update_prefetched(|_| updates += 1);
        assert_eq!(updates, 1);
        assert_eq!(sessions.counts(), (1, 0));
    }
}
