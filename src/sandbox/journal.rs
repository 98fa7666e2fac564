//! Every request that reached the sandbox, and what became of it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::Method;

use super::endpoint::Endpoint;

/// Entries kept; the counts go on beyond it.
const KEPT: usize = 10_000;

/// One request.
#[derive(Clone, Debug)]
pub struct Request {
    /// HTTP method.
    pub method: Method,
    /// Path as sent.
    pub path: String,
    /// Query as sent, without the question mark.
    pub query: String,
    /// The endpoint it means.
    pub endpoint: Endpoint,
    /// The status answered; none when the connection was cut or the caller gave up waiting.
    pub status: Option<u16>,
    /// Whether it changed the organization.
    pub applied: bool,
}

/// The log of requests.
#[derive(Debug, Default)]
pub struct Journal {
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    recent: VecDeque<Request>,
    total: u64,
    by_endpoint: HashMap<Endpoint, u64>,
    by_status: HashMap<u16, u64>,
    in_flight: usize,
    peak: usize,
}

impl Journal {
    /// The latest requests (at most 10,000), in the order in which they were finished.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.book().recent.iter().cloned().collect()
    }

    /// How many requests were finished, ever.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.book().total
    }

    /// How many of them meant this endpoint.
    #[must_use]
    pub fn count(&self, endpoint: Endpoint) -> u64 {
        let book = self.book();
        if endpoint == Endpoint::Any {
            book.total
        } else {
            book.by_endpoint.get(&endpoint).copied().unwrap_or(0)
        }
    }

    /// How many of them were answered with this status.
    #[must_use]
    pub fn count_status(&self, status: u16) -> u64 {
        self.book().by_status.get(&status).copied().unwrap_or(0)
    }

    /// The most requests that were ever in work at once.
    #[must_use]
    pub fn peak_in_flight(&self) -> usize {
        self.book().peak
    }

    /// How many requests are in work now.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.book().in_flight
    }

    /// Forgets everything but what is in work.
    pub fn clear(&self) {
        let mut book = self.book();
        let in_flight = book.in_flight;
        *book = Book {
            in_flight,
            peak: in_flight,
            ..Book::default()
        };
    }

    /// Opens the entry of a request; it is written when the returned guard goes, however the request ends.
    pub(super) fn open(&self, method: Method, path: &str, query: &str, endpoint: Endpoint) -> Entry<'_> {
        let mut book = self.book();
        book.in_flight += 1;
        book.peak = book.peak.max(book.in_flight);
        let request = Request {
            method,
            path: path.to_owned(),
            query: query.to_owned(),
            endpoint,
            status: None,
            applied: false,
        };
        Entry { journal: self, request }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request in work.
pub(super) struct Entry<'a> {
    journal: &'a Journal,
    pub(super) request: Request,
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        let mut book = self.journal.book();
        book.in_flight = book.in_flight.saturating_sub(1);
        book.total += 1;
        *book.by_endpoint.entry(self.request.endpoint).or_default() += 1;
        if let Some(status) = self.request.status {
            *book.by_status.entry(status).or_default() += 1;
        }
        if book.recent.len() == KEPT {
            book.recent.pop_front();
        }
        book.recent.push_back(self.request.clone());
    }
}
