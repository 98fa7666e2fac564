//! Overlapping windows: the argument stands at the head of [`super`].

use std::collections::{HashMap, HashSet, VecDeque};

use super::anchored_page::AnchoredPage;
use super::cursor::{Anchor, MAX_LIST_ROWS, Prefix};
use super::extent;
use super::extent::Short;
use super::window_prefetch::WindowPrefetch;
use super::{Batch, Cursor, ListSource, Row, Window};
use crate::providers::buildkite::api::error::{ApiError, ApiErrorKind, Unavailability};

/// How often the reader steps back for one anchor; each time twice as far, so that the last one spans a whole window.
const MAX_STEP_BACKS: u32 = 4;
const FIRST_STEP: u32 = 12;

/// How many windows in a row may hold nothing new: as many rows may have been inserted ahead meanwhile, and no more.
const MAX_STALE_WINDOWS: u32 = 8;

/// How often an anchor may be found by stepping back before the reading gets beyond where it was: a list that has one and
/// loses it again each time contradicts itself.
const MAX_RECOVERIES: u32 = 3;

/// What the reading of windows came to.
pub(crate) enum OverlapResult<R> {
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
enum ListEnd {
    No,
    Yes,
    /// By its rows it is, by its Link it is not.
    AgainstLink,
}

/// What one window came to.
pub(crate) enum Step<R> {
    Continue,
    End,
    Whole(Vec<R>),
    FixedSize,
}

pub(crate) async fn read<R: Row, S: ListSource<R>>(
    source: &S,
    cursor: Cursor,
    min_rows: usize,
) -> Result<OverlapResult<R>, ApiError> {
    let mut reader = OverlapReader::new(source, cursor, min_rows);
    loop {
        reader.prefetch_windows();
        match reader.step().await {
            Ok(Step::Continue) if reader.rows.len() < min_rows || reader.is_page_size_open() => {}
            Ok(Step::Continue) if reader.has_advanced() => return Ok(reader.batch(true)),
            Ok(Step::Continue) => return Err(reader.list_unstable()),
            Ok(Step::End) if reader.covered < reader.promised => return Ok(reader.short()),
            Ok(Step::End) => return Ok(reader.batch(false)),
            Ok(Step::Whole(rows)) if rows.len() < reader.promised as usize => return Ok(reader.short()),
            Ok(Step::Whole(rows)) => return Ok(OverlapResult::Whole(rows)),
            Ok(Step::FixedSize) => {
                return Ok(OverlapResult::FixedSize {
                    promised: reader.promised,
                });
            }
            Err(error) if reader.may_be_resumed(&error) => return Ok(reader.batch(true)),
            Err(error) => return Err(error),
        }
    }
}

pub(crate) struct OverlapReader<'s, R, S> {
    source: &'s S,
    pub(crate) prefetch: WindowPrefetch<'s, R, S>,
    min_rows: usize,
    /// Rows that were covered before this reading: a cursor that is handed on lies beyond, or the caller would come
    /// back to it for ever.
    start: u32,
    pub(crate) covered: u32,
    pub(crate) largest: u32,
    /// Rows that the list was said to hold by the last answer, at least.
    known: u32,
    /// The largest extent that any answer promised, by its rows or by the last page that it named.
    pub(crate) promised: u32,
    /// The rows of the last window, in order.
    pub(crate) previous: Vec<Anchor>,
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
    split_points: VecDeque<(usize, Cursor)>,
    /// Windows that were accepted.
    accepted_windows: u32,
    step_backs: u32,
    /// Whether the reader ever had to step back.
    rows_moved: bool,
    /// The most rows that were ever covered, and how often the reader stepped back with success since.
    max_covered: u32,
    recoveries: u32,
    stale_windows: u32,
    repeated: bool,
}

impl<'s, R: Row + 's, S: ListSource<R>> OverlapReader<'s, R, S> {
    fn new(source: &'s S, cursor: Cursor, min_rows: usize) -> Self {
        let prefix = cursor.prefix();
        let (covered, largest, previous, known, promised, handed) = match cursor.clone() {
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
            prefetch: WindowPrefetch::new(source),
            min_rows,
            start: covered,
            covered,
            largest,
            known,
            promised: promised.max(covered),
            handed: previous.iter().copied().chain(handed).collect(),
            prefix,
            previous,
            seen: HashMap::new(),
            rows: Vec::new(),
            begin: cursor,
            split_points: VecDeque::new(),
            accepted_windows: 0,
            step_backs: 0,
            rows_moved: false,
            max_covered: covered,
            recoveries: 0,
            stale_windows: 0,
            repeated: false,
        }
    }

    fn batch(mut self, more: bool) -> OverlapResult<R> {
        let next = more.then(|| self.cursor());
        // A stop behind the last row is the batch's own end.
        self.split_points.retain(|(behind, _)| *behind < self.rows.len());
        OverlapResult::Batch(
            Batch::listed(self.rows, self.begin, self.promised).with_continuation(self.split_points, next),
        )
    }

    /// The list ended below its extent. What was read since its beginning can be compared with another reading.
    fn short(self) -> OverlapResult<R> {
        OverlapResult::Short(Short {
            promised: self.promised,
            ids: (self.begin == Cursor::Start).then(|| extent::ids(&self.rows)),
        })
    }

    fn cursor(&self) -> Cursor {
        Cursor::Behind {
            covered: self.covered,
            largest: self.largest,
            anchors: self.previous.clone(),
            known: self.known,
            promised: self.promised,
            prefix: self.prefix,
            handed: Vec::new(),
        }
    }

    /// Notes that a window ends here, where the reading got further by it.
    fn add_split_point(&mut self) {
        let before = match self.split_points.back() {
            Some((_, Cursor::Behind { covered, .. })) => *covered,
            _ => self.start,
        };
        if self.covered > before {
            self.split_points.push_back((self.rows.len(), self.cursor()));
        }
    }

    /// Whether the first window suggests pages of another size and no second one has shown what they are: rows of such a list
    /// may have to be handed out in another order, so none is before that is known.
    fn is_page_size_open(&self) -> bool {
        self.start == 0 && self.largest < Window::LARGEST && self.accepted_windows < 2
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
    fn prefetch_windows(&mut self) {
        if self.rows_moved || self.largest < Window::LARGEST {
            return;
        }
        let missing = self.min_rows.saturating_sub(self.rows.len());
        let wanted = self.covered.saturating_add(u32::try_from(missing).unwrap_or(u32::MAX));
        self.prefetch.prefetch(self.covered, self.known.min(wanted));
    }

    async fn step(&mut self) -> Result<Step<R>, ApiError> {
        let reach = match self.step_backs.checked_sub(1) {
            None => self.covered,
            Some(before) => self.covered.saturating_sub(FIRST_STEP << before),
        };
        let Some(window) = Window::next_overlapping(reach, self.largest) else {
            return Ok(Step::FixedSize);
        };
        let answer = self.fetch(window).await?;
        if answer.rows.len() > window.per_page as usize {
            return self.oversized(answer, window).await;
        }
        if window.offset() == 0 && answer.rows.is_empty() && answer.link.has_more_after(window.page) {
            return self.empty_but_linked(&answer).await;
        }
        if window.offset() > 0 && !answer.shares_anchor_with(&self.previous) {
            self.step_backs += 1;
            self.rows_moved = true;
            return if self.step_backs > MAX_STEP_BACKS {
                self.no_anchor()
            } else {
                Ok(Step::Continue)
            };
        }
        if window.offset() == 0 && self.step_backs > 0 && self.largest < Window::LARGEST {
            return self.no_anchor();
        }
        let ends = self.accept(&answer, window)?;
        self.keep(answer);
        match ends {
            ListEnd::No => {
                self.add_split_point();
                Ok(Step::Continue)
            }
            ListEnd::Yes => Ok(Step::End),
            ListEnd::AgainstLink => self.end_against_link(window).await,
        }
    }

    /// No anchor anywhere. A server that showed a page size of its own may hear nothing of `per_page`: its windows lie
    /// elsewhere than asked for.
    fn no_anchor(&self) -> Result<Step<R>, ApiError> {
        if self.largest < Window::LARGEST {
            return Ok(Step::FixedSize);
        }
        Err(self.list_unstable())
    }

    /// Asks for a window, and once more where its answer looks cut or repeated: one odd answer is no habit.
    async fn fetch(&mut self, window: Window) -> Result<AnchoredPage<R>, ApiError> {
        let answer = AnchoredPage::from(self.prefetch.next(window).await?);
        let short = answer.rows.len() < window.per_page as usize;
        let promised = self.promised > window.offset().saturating_add(answer.held());
        let cut = short && (promised || answer.link.has_more_after(window.page));
        let repeated = self.repeats(&answer, window);
        if !cut && !repeated {
            self.repeated = false;
            return Ok(answer);
        }
        let again = AnchoredPage::from(self.prefetch.fetch_alongside(window).await?);
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

    fn accept(&mut self, answer: &AnchoredPage<R>, window: Window) -> Result<ListEnd, ApiError> {
        let held = answer.held();
        let more = answer.link.has_more_after(window.page);
        let first = window.offset() == 0;
        let news = self.has_new_rows(answer);
        let full = held == window.per_page;
        // Some servers page by the default size, hear nothing of `per_page`, and send no Link to say so.
        let default_size = first && held == Window::DEFAULT && !answer.link.present;
        if first && !full && (more || default_size) {
            self.largest = held;
        }
        self.known = answer.link.min_total_rows(window.page, window.per_page.min(held));
        // The first answer shows the size of pages; where that is less than was asked for, the last page is counted by it.
        let size = if first { held } else { window.per_page };
        let promised = answer.link.promised_rows(size).max(window.offset() + held);
        self.promised = self
            .promised
            .saturating_sub(self.gone_ahead(answer, window))
            .max(promised);
        self.stale_windows = if news { 0 } else { self.stale_windows + 1 };
        if self.stale_windows > MAX_STALE_WINDOWS {
            return Err(self.list_unstable());
        }
        self.accepted_windows += 1;
        self.covered = window.offset() + held;
        if self.covered > MAX_LIST_ROWS {
            return Err(self.unexpected("a list without an end"));
        }
        self.recoveries += u32::from(self.step_backs > 0);
        self.step_backs = 0;
        if self.covered > self.max_covered {
            (self.max_covered, self.recoveries) = (self.covered, 0);
        } else if self.recoveries > MAX_RECOVERIES {
            return Err(self.list_unstable());
        }
        Ok(match (full, more) {
            (true, _) if answer.link.is_last(window.page) => ListEnd::Yes,
            (true, _) => ListEnd::No,
            (false, _) if default_size => ListEnd::No,
            (false, true) if news => ListEnd::No,
            (false, true) => ListEnd::AgainstLink,
            (false, false) => ListEnd::Yes,
        })
    }

    pub(crate) fn keep(&mut self, answer: AnchoredPage<R>) {
        for (row, anchor) in answer.rows.into_iter().zip(&answer.anchors) {
            // Of two readings of a row the later one holds: a role may have been changed in between.
            if let Some(earlier) = self.seen.get(anchor).and_then(|at| self.rows.get_mut(*at)) {
                *earlier = row;
            } else if !self.handed.contains(anchor) {
                self.seen.insert(*anchor, self.rows.len());
                self.rows.push(row);
                self.prefix = self.prefix.with(*anchor);
            }
        }
        self.previous = answer.anchors;
    }

    /// Rows that certainly went since the last window: so many places did the last row that both hold move up. A promise that
    /// was made before them is lower by as many.
    fn gone_ahead(&self, answer: &AnchoredPage<R>, window: Window) -> u32 {
        let offset = (self.covered as usize).saturating_sub(self.previous.len());
        let Some((was, is)) = answer.last_shared_with(&self.previous) else {
            return 0;
        };
        let gone = (offset + was).saturating_sub(window.offset() as usize + is);
        u32::try_from(gone).unwrap_or(u32::MAX)
    }

    pub(crate) fn has_new_rows(&self, answer: &AnchoredPage<R>) -> bool {
        let mut anchors = answer.anchors.iter();
        anchors.any(|anchor| !self.previous.contains(anchor) && !self.seen.contains_key(anchor))
    }

    fn repeats(&self, answer: &AnchoredPage<R>, window: Window) -> bool {
        let last_offset = (self.covered as usize).saturating_sub(self.previous.len());
        window.offset() as usize > last_offset
            && self.previous.len() > 1
            && answer.rows.len() > 1
            && answer.repeats_previous(&self.previous)
    }

    pub(crate) fn unexpected(&self, what: &str) -> ApiError {
        self.source.error(ApiErrorKind::Unexpected(what.to_owned()))
    }

    fn list_unstable(&self) -> ApiError {
        self.source
            .error(ApiErrorKind::Unavailable(Unavailability::ListUnstable))
    }
}
