//! Concurrent requests for the windows of one list.
//!
//! When a `Link` gives a minimum length, the coming windows are known in advance: each begins where its predecessor
//! would end. They are requested concurrently, but only windows that the reader certainly needs if the list does not
//! change. The reader stays sequential: it takes the pages in order and compares each with its predecessor. If rows
//! moved and the reader continues elsewhere, the pending requests are cancelled. Until then they are polled during
//! every other request, because an unpolled request keeps its place in the queue and blocks those behind it.

use std::collections::VecDeque;
use std::pin::pin;

use futures::future::{BoxFuture, FutureExt};
use futures::stream::{FuturesOrdered, StreamExt};

use super::{ListPage, ListSource, Row, Window};
use crate::providers::buildkite::api::error::ApiError;

/// Requests for windows that are in flight.
pub(crate) struct WindowPrefetch<'s, R, S> {
    source: &'s S,
    requested: VecDeque<Window>,
    /// Pages of the first of them that arrived during another request.
    ready: VecDeque<Result<ListPage<R>, ApiError>>,
    in_flight: FuturesOrdered<BoxFuture<'s, Result<ListPage<R>, ApiError>>>,
}

impl<'s, R: Row + 's, S: ListSource<R>> WindowPrefetch<'s, R, S> {
    pub(crate) fn new(source: &'s S) -> Self {
        Self {
            source,
            requested: VecDeque::new(),
            ready: VecDeque::new(),
            in_flight: FuturesOrdered::new(),
        }
    }

    /// The page of a window: from the prefetched request if there is one, else from a new request.
    pub(crate) async fn next(&mut self, window: Window) -> Result<ListPage<R>, ApiError> {
        if self.requested.pop_front() == Some(window) {
            if let Some(page) = self.ready.pop_front() {
                return page;
            }
            if let Some(page) = self.in_flight.next().await {
                return page;
            }
        }
        self.requested.clear();
        self.ready.clear();
        self.in_flight.clear();
        self.source.window(window).await
    }

    /// Requests a window while polling the prefetched requests.
    pub(crate) async fn fetch_alongside(&mut self, window: Window) -> Result<ListPage<R>, ApiError> {
        let mut page = pin!(self.source.window(window));
        loop {
            tokio::select! {
                biased;
                page = &mut page => return page,
                Some(page) = self.in_flight.next() => self.ready.push_back(page),
            }
        }
    }

    /// Requests the windows that the reader will need between the rows `covered` and `until`, up to the concurrency
    /// of the source.
    pub(crate) fn prefetch(&mut self, mut covered: u32, until: u32) {
        for index in 0..self.source.concurrency() {
            if covered >= until {
                return;
            }
            let Some(next) = Window::next_overlapping(covered, Window::LARGEST) else {
                return;
            };
            match self.requested.get(index) {
                Some(requested) if *requested == next => {}
                // Another window is in flight: the reader will notice and cancel it.
                Some(_) => return,
                None => {
                    self.requested.push_back(next);
                    self.in_flight.push_back(self.source.window(next).boxed());
                }
            }
            covered = next.end();
        }
    }
}
