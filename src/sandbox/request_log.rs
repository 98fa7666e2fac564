//! A log of every request that reached the sandbox and its result.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::{HeaderMap, HeaderName, Method};
use uuid::Uuid;

use super::endpoint::Endpoint;

/// Maximum number of requests kept. The counts include all requests.
const MAX_RECENT: usize = 10_000;

/// A finished request.
#[derive(Clone, Debug)]
pub struct LoggedRequest {
    /// HTTP method.
    pub method: Method,
    /// Path as sent.
    pub path: String,
    /// Query as sent, without the question mark.
    pub query: String,
    /// The endpoint of the request.
    pub endpoint: Endpoint,
    /// The names of the headers, without their values: one of them holds the token.
    pub headers: Vec<HeaderName>,
    /// The user whose token the request carried; `None` if it carried none that is accepted.
    pub user: Option<Uuid>,
    /// The response's status; `None` if the connection was reset or the client disconnected.
    pub status: Option<u16>,
    /// Whether the request changed the organization.
    pub applied: bool,
}

/// The log of requests.
#[derive(Debug, Default)]
pub struct RequestLog {
    state: Mutex<LogState>,
}

#[derive(Debug, Default)]
struct LogState {
    recent: VecDeque<LoggedRequest>,
    total: u64,
    by_endpoint: HashMap<Endpoint, u64>,
    by_status: HashMap<u16, u64>,
    in_flight: usize,
    peak: usize,
}

impl RequestLog {
    /// The latest requests (at most 10,000), in the order in which they finished.
    #[must_use]
    pub fn requests(&self) -> Vec<LoggedRequest> {
        self.state().recent.iter().cloned().collect()
    }

    /// The number of all finished requests.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.state().total
    }

    /// The number of finished requests to this endpoint.
    #[must_use]
    pub fn count(&self, endpoint: Endpoint) -> u64 {
        let state = self.state();
        if endpoint == Endpoint::Any {
            state.total
        } else {
            state.by_endpoint.get(&endpoint).copied().unwrap_or(0)
        }
    }

    /// The number of finished requests with this status.
    #[must_use]
    pub fn count_status(&self, status: u16) -> u64 {
        self.state().by_status.get(&status).copied().unwrap_or(0)
    }

    /// The maximum number of requests in flight at once.
    #[must_use]
    pub fn peak_in_flight(&self) -> usize {
        self.state().peak
    }

    /// The number of requests in flight.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.state().in_flight
    }

    /// Clears the log except for the requests in flight.
    pub fn clear(&self) {
        let mut state = self.state();
        let in_flight = state.in_flight;
        *state = LogState {
            in_flight,
            peak: in_flight,
            ..LogState::default()
        };
    }

    /// Opens the entry of a request. The entry is recorded when the returned guard is dropped.
    pub(super) fn open(
        &self,
        method: Method,
        (path, query): (&str, &str),
        headers: &HeaderMap,
        endpoint: Endpoint,
    ) -> OpenEntry<'_> {
        let mut state = self.state();
        state.in_flight += 1;
        state.peak = state.peak.max(state.in_flight);
        let request = LoggedRequest {
            method,
            path: path.to_owned(),
            query: query.to_owned(),
            endpoint,
            headers: headers.keys().cloned().collect(),
            user: None,
            status: None,
            applied: false,
        };
        OpenEntry {
            request_log: self,
            request,
        }
    }

    fn state(&self) -> MutexGuard<'_, LogState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request in flight.
pub(super) struct OpenEntry<'a> {
    request_log: &'a RequestLog,
    pub(super) request: LoggedRequest,
}

impl Drop for OpenEntry<'_> {
    fn drop(&mut self) {
        let mut state = self.request_log.state();
        state.in_flight = state.in_flight.saturating_sub(1);
        state.total += 1;
        *state.by_endpoint.entry(self.request.endpoint).or_default() += 1;
        if let Some(status) = self.request.status {
            *state.by_status.entry(status).or_default() += 1;
        }
        if state.recent.len() == MAX_RECENT {
            state.recent.pop_front();
        }
        state.recent.push_back(self.request.clone());
    }
}
