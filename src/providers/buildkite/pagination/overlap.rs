//! Overlapping windows: the argument stands at the head of [`super`].

use std::collections::{HashMap, HashSet, VecDeque};

use super::anchored_page::Recognised;
use super::cursor::{Anchor, LONGEST_LIST, Prefix};
use super::extent;
use super::extent::Short;
use super::window_prefetch::Ahead;
use super::{Batch, Cursor, Row, Window, Windows};
use crate::providers::buildkite::api::error::{ApiError, ApiErrorKind, Unavailability};

/// How often the reader steps back for one anchor; each time twice as far, so that the last one spans a whole window.
const STEPS_BACK: u32 = 4;
const FIRST_STEP: u32 = 12;

/// How many windows in a row may hold nothing new: as many rows may have been inserted ahead meanwhile, and no more.
const KNOWN_WINDOWS: u32 = 8;

/// How often an anchor may be found by stepping back before the reading gets beyond where it was: a list that has one and
/// loses it again each time contradicts itself.
const RESCUES: u32 = 3;

/// What the reading of windows came to.
pub(crate) enum Outcome<R> {
    /// Rows, and where to go on.
    Batch(Batch<R>),
    /// The list ended below an extent that it promised.
    Short(Short),
    /// The server ignores paging and answered the whole list.
    Whole(Vec<R>),
    /// The server's pages have a size of their own, whatever was asked for: windows cannot overlap.
    FixedSize {
        /// The largest extent that the list promised before that showed.
        promised: u32,
    },
}

/// Whether a window is the last.
enum End {
    No,
    Yes,
    /// By its rows it is, by its Link it is not.
    AgainstLink,
}

/// What one window came to.
pub(crate) enum Step<R> {
    Further,
    End,
    Whole(Vec<R>),
    FixedSize,
}

pub(crate) async fn read<R: Row, S: Windows<R>>(
    source: &S,
    position: Cursor,
    enough: usize,
) -> Result<Outcome<R>, ApiError> {
    let mut reader = Reader::new(source, position, enough);
    loop {
        reader.look_ahead();
        match reader.step().await {
            Ok(Step::Further) if reader.rows.len() < enough || reader.is_page_size_open() => {}
            Ok(Step::Further) if reader.has_advanced() => return Ok(reader.batch(true)),
            Ok(Step::Further) => return Err(reader.moving()),
            Ok(Step::End) if reader.covered < reader.promised => return Ok(reader.short()),
            Ok(Step::End) => return Ok(reader.batch(false)),
            Ok(Step::Whole(rows)) if rows.len() < reader.promised as usize => return Ok(reader.short()),
            Ok(Step::Whole(rows)) => return Ok(Outcome::Whole(rows)),
            Ok(Step::FixedSize) => {
                return Ok(Outcome::FixedSize {
                    promised: reader.promised,
                });
            }
            Err(error) if reader.may_be_resumed(&error) => return Ok(reader.batch(true)),
            Err(error) => return Err(error),
        }
    }
}

pub(crate) struct Reader<'s, R, S> {
    source: &'s S,
    pub(crate) ahead: Ahead<'s, R, S>,
    enough: usize,
    /// Rows that were covered before this reading: a position that is handed on lies beyond, or the caller would come
    /// back to it for ever.
    start: u32,
    pub(crate) covered: u32,
    pub(crate) largest: u32,
    /// Rows that the list was said to hold by the last answer, at least.
    known: u32,
    /// The largest extent that any answer promised, by its rows or by the last page that it named.
    pub(crate) promised: u32,
    /// The rows of the last window, in order.
    pub(crate) last: Vec<Anchor>,
    /// Rows that were handed out before this reading and may come again in it.
    handed: HashSet<Anchor>,
    /// All rows that were handed out, those of this reading included.
    prefix: Prefix,
    /// Where the rows that were read are in `rows`.
    seen: HashMap<Anchor, usize>,
    rows: Vec<R>,
    /// Where the reading began.
    begin: Cursor,
    /// Where what was read can be parted at the end of a window.
    stops: VecDeque<(usize, Cursor)>,
    /// Windows that were accepted.
    accepted: u32,
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
    fn new(source: &'s S, position: Cursor, enough: usize) -> Self {
        let prefix = position.prefix();
        let (covered, largest, last, known, promised, handed) = match position.clone() {
            Cursor::Behind {
                covered,
                largest,
                anchors,
                known,
                promised,
                handed,
                prefix: _,
            } => (covered, largest, anchors, known, promised, handed),
            Cursor::Start | Cursor::After(_) => (0, Window::LARGEST, vec![], 0, 0, vec![]),
        };
        Self {
            source,
            ahead: Ahead::of(source),
            enough,
            start: covered,
            covered,
            largest,
            known,
            promised: promised.max(covered),
            handed: last.iter().copied().chain(handed).collect(),
            prefix,
            last,
            seen: HashMap::new(),
            rows: Vec::new(),
            begin: position,
            stops: VecDeque::new(),
            accepted: 0,
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
        self.stops.retain(|(behind, _)| *behind < self.rows.len());
        Outcome::Batch(Batch::listed(self.rows, self.begin, self.promised).going_on(self.stops, next))
    }

    /// The list ended below its extent. What was read since its beginning can be compared with another reading.
    fn short(self) -> Outcome<R> {
        Outcome::Short(Short {
            promised: self.promised,
            ids: (self.begin == Cursor::Start).then(|| extent::ids(&self.rows)),
        })
    }

    fn position(&self) -> Cursor {
        Cursor::Behind {
            covered: self.covered,
            largest: self.largest,
            anchors: self.last.clone(),
            known: self.known,
            promised: self.promised,
            prefix: self.prefix,
            handed: Vec::new(),
        }
    }

    /// Notes that a window ends here, where the reading got further by it.
    fn stop(&mut self) {
        let before = match self.stops.back() {
            Some((_, Cursor::Behind { covered, .. })) => *covered,
            _ => self.start,
        };
        if self.covered > before {
            self.stops.push_back((self.rows.len(), self.position()));
        }
    }

    /// Whether the first window suggests pages of another size and no second one has shown what they are: rows of such a list
    /// may have to be handed out in another order, so none is before that is known.
    fn is_page_size_open(&self) -> bool {
        self.start == 0 && self.largest < Window::LARGEST && self.accepted < 2
    }

    fn has_advanced(&self) -> bool {
        self.covered > self.start
    }

    /// Rows that were read are kept where the next call can go on behind them.
    fn may_be_resumed(&self, error: &ApiError) -> bool {
        self.has_advanced() && (error.is_transient() || matches!(error.kind, ApiErrorKind::RateLimited(_)))
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
            return self.empty_but_linked(&answer).await;
        }
        if window.offset() > 0 && !answer.shares_an_anchor_with(&self.last) {
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
        let promised = self.promised > window.offset().saturating_add(answer.held());
        let cut = short && (promised || answer.link.names_more_than(window.page));
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
        let held = answer.held();
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
        // The first answer shows the size of pages; where that is less than was asked for, the last page is counted by it.
        let size = if first { held } else { window.per_page };
        let promised = answer.link.promised_rows(size).max(window.offset() + held);
        self.promised = self
            .promised
            .saturating_sub(self.gone_ahead(answer, window))
            .max(promised);
        self.known_windows = if news { 0 } else { self.known_windows + 1 };
        if self.known_windows > KNOWN_WINDOWS {
            return Err(self.moving());
        }
        self.accepted += 1;
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

    pub(crate) fn keep(&mut self, answer: Recognised<R>) {
        for (row, anchor) in answer.rows.into_iter().zip(&answer.anchors) {
            // Of two readings of a row the later one holds: a role may have been changed in between.
            if let Some(earlier) = self.seen.get(anchor).and_then(|at| self.rows.get_mut(*at)) {
                *earlier = row;
            } else if !self.handed.contains(anchor) {
                self.seen.insert(*anchor, self.rows.len());
                self.rows.push(row);
                self.prefix = self.prefix.and(*anchor);
            }
        }
        self.last = answer.anchors;
    }

    /// Rows that certainly went since the last window: so many places did the last row that both hold move up. A promise that
    /// was made before them is lower by as many.
    fn gone_ahead(&self, answer: &Recognised<R>, window: Window) -> u32 {
        let offset = (self.covered as usize).saturating_sub(self.last.len());
        let Some((was, is)) = answer.last_shared_with(&self.last) else {
            return 0;
        };
        let gone = (offset + was).saturating_sub(window.offset() as usize + is);
        u32::try_from(gone).unwrap_or(u32::MAX)
    }

    pub(crate) fn holds_news(&self, answer: &Recognised<R>) -> bool {
        let mut anchors = answer.anchors.iter();
        anchors.any(|anchor| !self.last.contains(anchor) && !self.seen.contains_key(anchor))
    }

    fn repeats(&self, answer: &Recognised<R>, window: Window) -> bool {
        let last_offset = (self.covered as usize).saturating_sub(self.last.len());
        window.offset() as usize > last_offset
            && self.last.len() > 1
            && answer.rows.len() > 1
            && answer.starts_like(&self.last)
    }

    pub(crate) fn unexpected(&self, what: &str) -> ApiError {
        self.source.trouble(ApiErrorKind::Unexpected(what.to_owned()))
    }

    fn moving(&self) -> ApiError {
        self.source
            .trouble(ApiErrorKind::Unavailable(Unavailability::ListUnstable))
    }
}
