//! Windows of one list that are asked for together.
//!
//! Where a `Link` tells how long the list is at least, the windows to come are known before the reading gets to them: each
//! begins where the one before it would end. They are sent together, and only such as the reading is sure to need while
//! nothing moves. The reading itself stays one after the other: it takes the answers in order and checks each against the one
//! before. Where rows moved and it goes on from elsewhere, what is on its way is of no use and is given up. Until then it is
//! looked after whatever else is asked: a request that nobody looks after keeps its place, and others wait behind it.

use std::collections::VecDeque;
use std::pin::pin;

use futures::future::{BoxFuture, FutureExt};
use futures::stream::{FuturesOrdered, StreamExt};

use super::{Answer, Row, Window, Windows};
use crate::providers::buildkite::api::error::ApiError;

/// The windows that are on their way.
pub(crate) struct Ahead<'s, R, S> {
    source: &'s S,
    asked: VecDeque<Window>,
    /// The answers of the first of them, where they came while something else was asked.
    early: VecDeque<Result<Answer<R>, ApiError>>,
    answers: FuturesOrdered<BoxFuture<'s, Result<Answer<R>, ApiError>>>,
}

impl<'s, R: Row + 's, S: Windows<R>> Ahead<'s, R, S> {
    pub(crate) fn of(source: &'s S) -> Self {
        Self {
            source,
            asked: VecDeque::new(),
            early: VecDeque::new(),
            answers: FuturesOrdered::new(),
        }
    }

    /// The answer for a window: the one that is on its way, or a new one.
    pub(crate) async fn take(&mut self, window: Window) -> Result<Answer<R>, ApiError> {
        if self.asked.pop_front() == Some(window) {
            if let Some(answer) = self.early.pop_front() {
                return answer;
            }
            if let Some(answer) = self.answers.next().await {
                return answer;
            }
        }
        self.asked.clear();
        self.early.clear();
        self.answers.clear();
        self.source.window(window).await
    }

    /// A new answer for a window, beside those that are on their way.
    pub(crate) async fn beside(&mut self, window: Window) -> Result<Answer<R>, ApiError> {
        let mut answer = pin!(self.source.window(window));
        loop {
            tokio::select! {
                biased;
                answer = &mut answer => return answer,
                Some(early) = self.answers.next() => self.early.push_back(early),
            }
        }
    }

    /// Asks for what the reading will come to between the rows `covered` and `until`, as many windows as the source may be
    /// asked for together.
    pub(crate) fn go_on(&mut self, mut covered: u32, until: u32) {
        for place in 0..self.source.together() {
            if covered >= until {
                return;
            }
            let Some(next) = Window::furthest(covered, Window::LARGEST) else {
                return;
            };
            match self.asked.get(place) {
                Some(asked) if *asked == next => {}
                // Something else is on its way: the reading will find out, and give it up.
                Some(_) => return,
                None => {
                    self.asked.push_back(next);
                    self.answers.push_back(self.source.window(next).boxed());
                }
            }
            covered = next.end();
        }
    }
}
