//! Overlapping windows: the argument stands at the head of [`super`].

use std::collections::{HashMap, HashSet};

use super::super::error::{ApiError, Cause, Trouble};
use super::ahead::Ahead;
use super::{Anchor, Answer, Batch, LONGEST_LIST, Link, PART, Position, Row, Window, Windows};

/// How often the reader steps back for one anchor; each time twice as far, so that the last one spans a whole window.
const STEPS_BACK: u32 = 4;
const FIRST_STEP: u32 = 12;

/// How many windows in a row may hold nothing new: as many rows may have been inserted ahead meanwhile, and no more.
const KNOWN_WINDOWS: u32 = 8;

/// How often an anchor may be found by stepping back before the reading gets beyond where it was: a list that has one and
/// loses it again each time contradicts itself.
const RESCUES: u32 = 3;

/// What the reading of windows came to.
pub(super) enum Outcome<R> {
    /// Rows, and where to go on.
    Batch(Batch<R>),
    /// The server ignores paging and answered the whole list.
    Whole(Vec<R>),
    /// The server's pages have a size of their own, whatever was asked for: windows cannot overlap.
    FixedSize,
}

/// Whether a window is the last.
enum End {
    No,
    Yes,
    /// By its rows it is, by its Link it is not.
    AgainstLink,
}

/// What one window came to.
enum Step<R> {
    Further,
    End,
    Whole(Vec<R>),
    FixedSize,
}

pub(super) async fn read<R: Row, S: Windows<R>>(
    source: &S,
    position: Position,
    enough: usize,
) -> Result<Outcome<R>, ApiError> {
    let mut reader = Reader::new(source, position, enough);
    loop {
        reader.look_ahead();
        match reader.step().await {
            Ok(Step::Further) if reader.rows.len() < enough => {}
            Ok(Step::Further) if reader.has_advanced() => return Ok(reader.batch(true)),
            Ok(Step::Further) => return Err(reader.moving()),
            Ok(Step::End) => return Ok(reader.batch(false)),
            Ok(Step::Whole(rows)) => return Ok(Outcome::Whole(rows)),
            Ok(Step::FixedSize) => return Ok(Outcome::FixedSize),
            Err(error) if reader.may_be_resumed(&error) => return Ok(reader.batch(true)),
            Err(error) => return Err(error),
        }
    }
}

/// A window's answer, each row recognised.
struct Recognised<R> {
    rows: Vec<R>,
    anchors: Vec<Anchor>,
    link: Link,
}

impl<R: Row> From<Answer<R>> for Recognised<R> {
    fn from(Answer { rows, link }: Answer<R>) -> Self {
        Self {
            anchors: rows.iter().map(Anchor::of).collect(),
            rows,
            link,
        }
    }
}

struct Reader<'s, R, S> {
    source: &'s S,
    ahead: Ahead<'s, R, S>,
    enough: usize,
    /// Rows that were covered before this reading: a position that is handed on lies beyond, or the caller would come
    /// back to it for ever.
    start: u32,
    covered: u32,
    largest: u32,
    /// Rows that the list was said to hold, at least.
    known: u32,
    /// The rows of the last window, in order.
    last: Vec<Anchor>,
    /// Where the rows that were read are in `rows`.
    seen: HashMap<Anchor, usize>,
    rows: Vec<R>,
    /// Where what was read can be parted.
    stops: Vec<(usize, Position)>,
    steps_back: u32,
    /// Whether the reader ever had to step back.
    moved: bool,
    /// The most rows that were ever covered, and how often the reader stepped back with success since.
    furthest: u32,
    rescues: u32,
    known_windows: u32,
    repeated: bool,
}

impl<'s, R: Row + 's, S: Windows<R>> Reader<'s, R, S> {
    fn new(source: &'s S, position: Position, enough: usize) -> Self {
        let (covered, largest, last, known) = match position {
            Position::Behind {
                covered,
                largest,
                anchors,
                known,
            } => (covered, largest, anchors, known),
            Position::Start | Position::After(_) => (0, Window::LARGEST, Vec::new(), 0),
        };
        Self {
            source,
            ahead: Ahead::of(source),
            enough,
            start: covered,
            covered,
            largest,
            known,
            last,
            seen: HashMap::new(),
            rows: Vec::new(),
            stops: Vec::new(),
            steps_back: 0,
            moved: false,
            furthest: covered,
            rescues: 0,
            known_windows: 0,
            repeated: false,
        }
    }

    fn batch(mut self, more: bool) -> Outcome<R> {
        let next = more.then(|| self.position());
        // A stop behind the last row is the batch's own end.
        self.stops.pop_if(|(behind, _)| *behind == self.rows.len());
        Outcome::Batch(Batch {
            rows: self.rows,
            next,
            stops: self.stops,
        })
    }

    fn position(&self) -> Position {
        Position::Behind {
            covered: self.covered,
            largest: self.largest,
            anchors: self.last.clone(),
            known: self.known,
        }
    }

    /// Notes that a part ends here, where there are enough rows for one and the reading got further.
    fn stop(&mut self) {
        let (behind, covered) = match self.stops.last() {
            Some((behind, Position::Behind { covered, .. })) => (*behind, *covered),
            _ => (0, self.start),
        };
        if self.rows.len() >= behind + PART && self.covered > covered {
            self.stops.push((self.rows.len(), self.position()));
        }
    }

    fn has_advanced(&self) -> bool {
        self.covered > self.start
    }

    /// Rows that were read are kept where the next call can go on behind them.
    fn may_be_resumed(&self, error: &ApiError) -> bool {
        self.has_advanced() && (error.is_transient() || matches!(error.trouble, Trouble::RateLimited(_)))
    }

    /// Asks for the windows behind what is covered, as far as the list is known to go and rows are wanted. A list that moved,
    /// or a server with a page size of its own, is read more carefully.
    fn look_ahead(&mut self) {
        if self.moved || self.largest < Window::LARGEST {
            return;
        }
        let missing = self.enough.saturating_sub(self.rows.len());
        let wanted = self.covered.saturating_add(u32::try_from(missing).unwrap_or(u32::MAX));
        self.ahead.go_on(self.covered, self.known.min(wanted));
    }

    async fn step(&mut self) -> Result<Step<R>, ApiError> {
        let reach = match self.steps_back.checked_sub(1) {
            None => self.covered,
            Some(before) => self.covered.saturating_sub(FIRST_STEP << before),
        };
        let Some(window) = Window::furthest(reach, self.largest) else {
            return Ok(Step::FixedSize);
        };
        let answer = self.ask(window).await?;
        if answer.rows.len() > window.per_page as usize {
            return self.oversized(answer, window).await;
        }
        if window.offset() == 0 && answer.rows.is_empty() && answer.link.names_more_than(window.page) {
            return self.empty_but_linked().await;
        }
        if window.offset() > 0 && !self.shares_an_anchor(&answer) {
            self.steps_back += 1;
            self.moved = true;
            return if self.steps_back > STEPS_BACK {
                self.unanchored()
            } else {
                Ok(Step::Further)
            };
        }
        if window.offset() == 0 && self.steps_back > 0 && self.largest < Window::LARGEST {
            return self.unanchored();
        }
        let ends = self.accept(&answer, window)?;
        self.keep(answer);
        match ends {
            End::No => {
                self.stop();
                Ok(Step::Further)
            }
            End::Yes => Ok(Step::End),
            End::AgainstLink => self.end_against_link(window).await,
        }
    }

    /// No anchor anywhere. A server that showed a page size of its own may hear nothing of `per_page`: its windows lie
    /// elsewhere than asked for.
    fn unanchored(&self) -> Result<Step<R>, ApiError> {
        if self.largest < Window::LARGEST {
            return Ok(Step::FixedSize);
        }
        Err(self.moving())
    }

    /// Asks for a window, and once more where its answer looks cut or repeated: one odd answer is no habit.
    async fn ask(&mut self, window: Window) -> Result<Recognised<R>, ApiError> {
        let answer = Recognised::from(self.ahead.take(window).await?);
        let short = answer.rows.len() < window.per_page as usize;
        let cut = short && answer.link.names_more_than(window.page);
        let repeated = self.repeats(&answer, window);
        if !cut && !repeated {
            self.repeated = false;
            return Ok(answer);
        }
        let again = Recognised::from(self.ahead.beside(window).await?);
        if !self.repeats(&again, window) {
            self.repeated = false;
        } else if std::mem::replace(&mut self.repeated, true) {
            return Err(self.unexpected("the same page at two offsets of a list"));
        }
        Ok(if again.rows.len() < answer.rows.len() {
            answer
        } else {
            again
        })
    }

    fn accept(&mut self, answer: &Recognised<R>, window: Window) -> Result<End, ApiError> {
        let held = u32::try_from(answer.rows.len()).unwrap_or(u32::MAX);
        let more = answer.link.names_more_than(window.page);
        let first = window.offset() == 0;
        let news = self.holds_news(answer);
        let full = held == window.per_page;
        // Some servers page by the default size, hear nothing of `per_page`, and send no Link to say so.
        let default_size = first && held == Window::DEFAULT && !answer.link.present;
        if first && !full && (more || default_size) {
            self.largest = held;
        }
        self.known = answer.link.known_rows(window.page, window.per_page.min(held));
        self.known_windows = if news { 0 } else { self.known_windows + 1 };
        if self.known_windows > KNOWN_WINDOWS {
            return Err(self.moving());
        }
        self.covered = window.offset() + held;
        if self.covered > LONGEST_LIST {
            return Err(self.unexpected("a list without an end"));
        }
        self.rescues += u32::from(self.steps_back > 0);
        self.steps_back = 0;
        if self.covered > self.furthest {
            (self.furthest, self.rescues) = (self.covered, 0);
        } else if self.rescues > RESCUES {
            return Err(self.moving());
        }
        Ok(match (full, more) {
            (true, _) if answer.link.ends_at(window.page) => End::Yes,
            (true, _) => End::No,
            (false, _) if default_size => End::No,
            (false, true) if news => End::No,
            (false, true) => End::AgainstLink,
            (false, false) => End::Yes,
        })
    }

    /// A window that brought nothing new and is short, and yet a next page is named: the next page tells which is wrong.
    async fn end_against_link(&mut self, window: Window) -> Result<Step<R>, ApiError> {
        let next = Window {
            page: window.page + 1,
            ..window
        };
        let behind = Recognised::from(self.ahead.beside(next).await?);
        if self.holds_news(&behind) {
            return Err(self.unexpected("a short page of a list that goes on"));
        }
        Ok(Step::End)
    }

    fn keep(&mut self, answer: Recognised<R>) {
        for (row, anchor) in answer.rows.into_iter().zip(&answer.anchors) {
            // Of two readings of a row the later one holds: a role may have been changed in between.
            if let Some(earlier) = self.seen.get(anchor).and_then(|at| self.rows.get_mut(*at)) {
                *earlier = row;
            } else {
                self.seen.insert(*anchor, self.rows.len());
                self.rows.push(row);
            }
        }
        self.last = answer.anchors;
    }

    /// No rows, and yet a next page is named: the next page tells which of the two is wrong.
    async fn empty_but_linked(&mut self) -> Result<Step<R>, ApiError> {
        let next = self
            .ahead
            .beside(Window {
                page: 2,
                per_page: self.largest,
            })
            .await?;
        if next.rows.is_empty() {
            return Ok(Step::End);
        }
        Err(self.unexpected("an empty first page of a list that goes on"))
    }

    /// More rows than were asked for: `per_page` is not heard, and whether `page` is must be found out.
    async fn oversized(&mut self, answer: Recognised<R>, window: Window) -> Result<Step<R>, ApiError> {
        let first = window.offset() == 0;
        if first && !answer.link.names_more_than(window.page) {
            return Ok(Step::Whole(answer.rows));
        }
        let probe = if first {
            self.keep(answer);
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
            return Ok(Step::FixedSize);
        };
        let again = Recognised::from(self.ahead.beside(probe).await?);
        let unpaged = again.rows.len() > probe.per_page as usize && self.starts_like_the_last(&again);
        match (unpaged, first) {
            (true, _) => Ok(Step::Whole(again.rows)),
            (false, true) => Ok(Step::FixedSize),
            (false, false) => Err(self.unexpected("the same page at two offsets of a list")),
        }
    }

    fn shares_an_anchor(&self, answer: &Recognised<R>) -> bool {
        let mut recognised = answer.rows.iter().zip(&answer.anchors);
        recognised.any(|(row, anchor)| row.since().is_some() && self.last.contains(anchor))
            || self.goes_on_from_the_last(answer)
    }

    /// Whether the window begins with a row of the last one and holds most of those that followed it. A row that does not
    /// tell its beginning may have been removed and added again elsewhere; what followed it did not come along.
    fn goes_on_from_the_last(&self, answer: &Recognised<R>) -> bool {
        let first = answer.anchors.first();
        let Some(place) = self.last.iter().position(|anchor| Some(anchor) == first) else {
            return false;
        };
        let followers = self.last.get(place..).unwrap_or_default();
        let held: HashSet<&Anchor> = answer.anchors.iter().collect();
        let there = followers.iter().filter(|anchor| held.contains(anchor)).count();
        there * 2 >= followers.len()
    }

    fn holds_news(&self, answer: &Recognised<R>) -> bool {
        let mut anchors = answer.anchors.iter();
        anchors.any(|anchor| !self.last.contains(anchor) && !self.seen.contains_key(anchor))
    }

    fn repeats(&self, answer: &Recognised<R>, window: Window) -> bool {
        let last_offset = (self.covered as usize).saturating_sub(self.last.len());
        window.offset() as usize > last_offset
            && self.last.len() > 1
            && answer.rows.len() > 1
            && self.starts_like_the_last(answer)
    }

    fn starts_like_the_last(&self, answer: &Recognised<R>) -> bool {
        answer
            .anchors
            .iter()
            .zip(&self.last)
            .all(|(anchor, last)| anchor == last)
    }

    fn unexpected(&self, what: &str) -> ApiError {
        self.source.trouble(Trouble::Unexpected(what.to_owned()))
    }

    fn moving(&self) -> ApiError {
        self.source.trouble(Trouble::Unavailable(Cause::Moving))
    }
}
