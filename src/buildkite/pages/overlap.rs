//! Overlapping windows: the argument stands at the head of [`super`].

use std::collections::HashSet;

use super::super::error::{ApiError, Cause, Trouble};
use super::{Anchor, Answer, Batch, Position, Row, Window, Windows};

/// How often the reader steps back for one anchor; each time twice as far, so that the last one spans a whole window.
const STEPS_BACK: u32 = 4;
const FIRST_STEP: u32 = 12;

/// How many windows in a row may hold nothing new: as many rows may have been inserted ahead meanwhile, and no more.
const KNOWN_WINDOWS: u32 = 8;

/// What the reading of windows came to.
pub(super) enum Outcome<R> {
    /// Rows, and where to go on.
    Batch(Batch<R>),
    /// The server ignores paging and answered the whole list.
    Whole(Vec<R>),
    /// The server's pages have this size, whatever was asked for: windows cannot overlap.
    FixedSize(usize),
}

/// What one window came to.
enum Step<R> {
    Further,
    End,
    Whole(Vec<R>),
    FixedSize(usize),
}

pub(super) async fn read<R: Row, S: Windows<R>>(
    source: &S,
    position: Position,
    enough: usize,
) -> Result<Outcome<R>, ApiError> {
    let mut reader = Reader::new(source, position);
    loop {
        match reader.step().await {
            Ok(Step::Further) if reader.rows.len() < enough => {}
            Ok(Step::Further) => return Ok(reader.batch(true)),
            Ok(Step::End) => return Ok(reader.batch(false)),
            Ok(Step::Whole(rows)) => return Ok(Outcome::Whole(rows)),
            Ok(Step::FixedSize(size)) => return Ok(Outcome::FixedSize(size)),
            Err(error) if reader.may_be_resumed(&error) => return Ok(reader.batch(true)),
            Err(error) => return Err(error),
        }
    }
}

struct Reader<'s, R, S> {
    source: &'s S,
    covered: u32,
    largest: u32,
    /// The rows of the last window, in order.
    last: Vec<Anchor>,
    seen: HashSet<Anchor>,
    rows: Vec<R>,
    steps_back: u32,
    known_windows: u32,
    repeated: bool,
}

impl<'s, R: Row, S: Windows<R>> Reader<'s, R, S> {
    fn new(source: &'s S, position: Position) -> Self {
        let (covered, largest, last) = match position {
            Position::Behind {
                covered,
                largest,
                anchors,
            } => (covered, largest, anchors),
            Position::Start | Position::After(_) => (0, Window::LARGEST, Vec::new()),
        };
        Self {
            source,
            covered,
            largest,
            last,
            seen: HashSet::new(),
            rows: Vec::new(),
            steps_back: 0,
            known_windows: 0,
            repeated: false,
        }
    }

    fn batch(self, more: bool) -> Outcome<R> {
        let next = more.then_some(Position::Behind {
            covered: self.covered,
            largest: self.largest,
            anchors: self.last,
        });
        Outcome::Batch(Batch { rows: self.rows, next })
    }

    /// Rows that were read are kept where the next call can go on behind them.
    fn may_be_resumed(&self, error: &ApiError) -> bool {
        !self.rows.is_empty() && (error.is_transient() || matches!(error.trouble, Trouble::RateLimited(_)))
    }

    async fn step(&mut self) -> Result<Step<R>, ApiError> {
        let reach = match self.steps_back.checked_sub(1) {
            None => self.covered,
            Some(before) => self.covered.saturating_sub(FIRST_STEP << before),
        };
        let Some(window) = Window::furthest(reach, self.largest) else {
            return Ok(Step::FixedSize(self.largest as usize));
        };
        let answer = self.ask(window).await?;
        if answer.rows.len() > window.per_page as usize {
            return self.oversized(answer, window).await;
        }
        if window.offset() == 0 && answer.rows.is_empty() && answer.link.names_more_than(window.page) {
            return self.empty_but_linked().await;
        }
        if window.offset() > 0 && !self.shares_an_anchor(&answer) {
            if self.largest < Window::LARGEST {
                // A server with a size of its own, which may be the only one that it has.
                return Ok(Step::FixedSize(self.largest as usize));
            }
            self.steps_back += 1;
            return if self.steps_back > STEPS_BACK {
                Err(self.moving())
            } else {
                Ok(Step::Further)
            };
        }
        self.accept(answer, window)
    }

    /// Asks for a window, and once more where its answer looks cut or repeated: one odd answer is no habit.
    async fn ask(&mut self, window: Window) -> Result<Answer<R>, ApiError> {
        let answer = self.source.window(window).await?;
        let short = answer.rows.len() < window.per_page as usize;
        let cut = short && answer.link.names_more_than(window.page) && self.holds_news(&answer);
        let repeated = self.repeats(&answer, window);
        if !cut && !repeated {
            self.repeated = false;
            return Ok(answer);
        }
        let again = self.source.window(window).await?;
        if !self.repeats(&again, window) {
            self.repeated = false;
        } else if std::mem::replace(&mut self.repeated, true) {
            return Err(self
                .source
                .trouble(Trouble::Unexpected("the same page at two offsets of a list".to_owned())));
        }
        Ok(if again.rows.len() < answer.rows.len() {
            answer
        } else {
            again
        })
    }

    fn accept(&mut self, answer: Answer<R>, window: Window) -> Result<Step<R>, ApiError> {
        let held = u32::try_from(answer.rows.len()).unwrap_or(u32::MAX);
        let more = answer.link.names_more_than(window.page);
        let first = window.offset() == 0;
        let news = self.holds_news(&answer);
        let full = held == window.per_page;
        // Some servers page by the default size, hear nothing of `per_page`, and send no Link to say so.
        let default_size = first && held == Window::DEFAULT && !answer.link.present;
        if first && !full && (more || default_size) {
            self.largest = held;
        }
        self.known_windows = if news { 0 } else { self.known_windows + 1 };
        if self.known_windows > KNOWN_WINDOWS {
            return Err(self.moving());
        }
        self.covered = window.offset() + held;
        self.steps_back = 0;
        self.keep(answer.rows);
        let end = if full {
            answer.link.ends_at(window.page)
        } else {
            !(default_size || more && news)
        };
        Ok(if end { Step::End } else { Step::Further })
    }

    fn keep(&mut self, rows: Vec<R>) {
        self.last.clear();
        for row in rows {
            let anchor = Anchor::of(&row);
            self.last.push(anchor);
            if self.seen.insert(anchor) {
                self.rows.push(row);
            }
        }
    }

    /// No rows, and yet a next page is named: the next page tells which of the two is wrong.
    async fn empty_but_linked(&self) -> Result<Step<R>, ApiError> {
        let next = self
            .source
            .window(Window {
                page: 2,
                per_page: self.largest,
            })
            .await?;
        if next.rows.is_empty() {
            return Ok(Step::End);
        }
        Err(self.source.trouble(Trouble::Unexpected(
            "an empty first page of a list that goes on".to_owned(),
        )))
    }

    /// More rows than were asked for: `per_page` is not heard, and whether `page` is must be found out.
    async fn oversized(&mut self, answer: Answer<R>, window: Window) -> Result<Step<R>, ApiError> {
        let size = answer.rows.len();
        let first = window.offset() == 0;
        if first && !answer.link.names_more_than(window.page) {
            return Ok(Step::Whole(answer.rows));
        }
        let probe = if first {
            self.keep(answer.rows);
            Window {
                page: 2,
                per_page: Window::LARGEST,
            }
        } else if self.starts_like_the_last(&answer) {
            Window {
                page: 1,
                per_page: (window.per_page / 2).max(1),
            }
        } else {
            return Ok(Step::FixedSize(size));
        };
        let again = self.source.window(probe).await?;
        let unpaged = again.rows.len() > probe.per_page as usize && self.starts_like_the_last(&again);
        match (unpaged, first) {
            (true, _) => Ok(Step::Whole(again.rows)),
            (false, true) => Ok(Step::FixedSize(size)),
            (false, false) => Err(self
                .source
                .trouble(Trouble::Unexpected("the same page at two offsets of a list".to_owned()))),
        }
    }

    fn shares_an_anchor(&self, answer: &Answer<R>) -> bool {
        answer.rows.iter().any(|row| self.last.contains(&Anchor::of(row)))
    }

    fn holds_news(&self, answer: &Answer<R>) -> bool {
        answer
            .rows
            .iter()
            .map(Anchor::of)
            .any(|anchor| !self.last.contains(&anchor) && !self.seen.contains(&anchor))
    }

    /// Whether a window at a higher offset begins with the rows of the last one.
    fn repeats(&self, answer: &Answer<R>, window: Window) -> bool {
        window.offset() > 0 && self.last.len() > 1 && answer.rows.len() > 1 && self.starts_like_the_last(answer)
    }

    fn starts_like_the_last(&self, answer: &Answer<R>) -> bool {
        answer
            .rows
            .iter()
            .map(Anchor::of)
            .zip(&self.last)
            .all(|(anchor, last)| anchor == *last)
    }

    fn moving(&self) -> ApiError {
        self.source.trouble(Trouble::Unavailable(Cause::Moving))
    }
}
