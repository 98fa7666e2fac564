//! The reader of overlapping windows. [`super`] explains why it loses no row.

use std::collections::{HashMap, HashSet, VecDeque};

use super::anchored_page::AnchoredPage;
use super::cursor::{Anchor, MAX_LIST_ROWS, Prefix};
use super::extent;
use super::extent::ShortList;
use super::window_prefetch::WindowPrefetch;
use super::{Batch, Cursor, ListSource, Row, Window};
use crate::providers::buildkite::api::error::{ApiError, ApiErrorKind, Unavailability};

/// Maximum number of step backs for one anchor. Each doubles the distance, so that the last spans a whole window.
const MAX_STEP_BACKS: u32 = 4;
const FIRST_STEP: u32 = 12;

/// Maximum number of consecutive windows without new rows, which appear when rows are inserted ahead of the reader.
const MAX_STALE_WINDOWS: u32 = 8;

/// Maximum number of step backs that succeed before the reader gets beyond its furthest row: a list that loses its
/// anchor again after each contradicts itself.
const MAX_RECOVERIES: u32 = 3;

/// The result of reading windows.
pub(crate) enum OverlapResult<R> {
    /// Rows, and the cursor after them.
    Batch(Batch<R>),
    /// The list ended below its promised length.
    Short(ShortList),
    /// The server ignores paging and returned the complete list.
    Unpaged(Vec<R>),
    /// The server uses its own page size for every request, so windows cannot overlap.
    FixedSize {
        /// The largest length that the list promised before.
        promised: u32,
    },
}

/// Whether a window is the last of the list.
enum ListEnd {
    No,
    Yes,
    /// Its rows say yes, its `Link` says no.
    AgainstLink,
}

/// The result of one window.
pub(crate) enum Step<R> {
    Continue,
    End,
    Unpaged(Vec<R>),
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
            Ok(Step::Continue) if reader.has_advanced() => return Ok(reader.into_batch(true)),
            Ok(Step::Continue) => return Err(reader.list_unstable()),
            Ok(Step::End) if reader.covered < reader.promised => return Ok(reader.into_short()),
            Ok(Step::End) => return Ok(reader.into_batch(false)),
            Ok(Step::Unpaged(rows)) if rows.len() < reader.promised as usize => return Ok(reader.into_short()),
            Ok(Step::Unpaged(rows)) => return Ok(OverlapResult::Unpaged(rows)),
            Ok(Step::FixedSize) => {
                return Ok(OverlapResult::FixedSize {
                    promised: reader.promised,
                });
            }
            Err(error) if reader.may_be_resumed(&error) => return Ok(reader.into_batch(true)),
            Err(error) => return Err(error),
        }
    }
}

pub(crate) struct OverlapReader<'s, R, S> {
    source: &'s S,
    pub(crate) prefetch: WindowPrefetch<'s, R, S>,
    min_rows: usize,
    /// Rows covered before this read. A returned cursor lies beyond, or the caller would loop.
    start: u32,
    pub(crate) covered: u32,
    pub(crate) largest: u32,
    /// Minimum length of the list by the most recent response.
    known: u32,
    /// The largest length that any response promised, by its rows or by the last page that it named.
    pub(crate) promised: u32,
    /// The rows of the previous window, in order.
    pub(crate) previous: Vec<Anchor>,
    /// Rows that were returned before this read and may appear again in it.
    handed: HashSet<Anchor>,
    /// All rows returned, including those of this read before `undigested`.
    prefix: Prefix,
    /// The rows read since the last cursor. Only a cursor needs their digest, and a list of one window has none.
    undigested: Vec<Anchor>,
    /// Index in `rows` of each row that was read.
    seen: HashMap<Anchor, usize>,
    rows: Vec<R>,
    /// The cursor at which this read began.
    begin: Cursor,
    /// Where the rows can be split at the end of a window.
    split_points: VecDeque<(usize, Cursor)>,
    /// Number of accepted windows.
    accepted_windows: u32,
    step_backs: u32,
    /// Whether the reader ever stepped back.
    rows_moved: bool,
    /// The maximum of `covered`, and the number of successful step backs since it was reached.
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
            undigested: Vec::new(),
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

    fn into_batch(mut self, more: bool) -> OverlapResult<R> {
        let next = more.then(|| self.cursor());
        // A split point after the last row is the end of the batch itself.
        self.split_points.retain(|(behind, _)| *behind < self.rows.len());
        OverlapResult::Batch(
            Batch::listed(self.rows, self.begin, self.promised).with_continuation(self.split_points, next),
        )
    }

    /// The list ended below its promised length. A read from the beginning can be compared with another read.
    fn into_short(self) -> OverlapResult<R> {
        OverlapResult::Short(ShortList {
            promised: self.promised,
            ids: (self.begin == Cursor::Start).then(|| extent::ids(&self.rows)),
        })
    }

    fn cursor(&mut self) -> Cursor {
        self.prefix = self.prefix.with_all(self.undigested.drain(..));
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

    /// Records the end of a window as a split point if the window made progress.
    fn add_split_point(&mut self) {
        let before = match self.split_points.back() {
            Some((_, Cursor::Behind { covered, .. })) => *covered,
            _ => self.start,
        };
        if self.covered > before {
            let end = self.cursor();
            self.split_points.push_back((self.rows.len(), end));
        }
    }

    /// Whether the first window suggests another page size and no second one has confirmed it. Such a list may have
    /// to be returned in another order, so no row is returned before that is known.
    fn is_page_size_open(&self) -> bool {
        self.start == 0 && self.largest < Window::LARGEST && self.accepted_windows < 2
    }

    /// Whether this read covered any row.
    fn has_advanced(&self) -> bool {
        self.covered > self.start
    }

    /// Rows that were read are returned if the next call can continue after them.
    fn may_be_resumed(&self, error: &ApiError) -> bool {
        self.has_advanced() && (error.is_transient() || matches!(error.kind, ApiErrorKind::RateLimited(_)))
    }

    /// Requests the windows after the covered rows, up to the known length of the list and the number of rows wanted.
    /// A list that changed, or a server with its own page size, is read sequentially.
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
        let page = self.fetch(window).await?;
        if page.rows.len() > window.per_page as usize {
            return self.oversized(page, window).await;
        }
        if window.offset() == 0 && page.rows.is_empty() && page.link.has_more_after(window.page) {
            return self.empty_but_linked(&page).await;
        }
        if window.offset() > 0 && !page.shares_anchor_with(&self.previous) {
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
        let ends = self.accept(&page, window)?;
        self.keep(page);
        match ends {
            ListEnd::No => {
                self.add_split_point();
                Ok(Step::Continue)
            }
            ListEnd::Yes => Ok(Step::End),
            ListEnd::AgainstLink => self.end_against_link(window).await,
        }
    }

    /// No anchor was found. A server that showed its own page size may ignore `per_page`: its windows lie elsewhere
    /// than requested.
    fn no_anchor(&self) -> Result<Step<R>, ApiError> {
        if self.largest < Window::LARGEST {
            return Ok(Step::FixedSize);
        }
        Err(self.list_unstable())
    }

    /// Requests a window, and once more if the page looks truncated or repeated: one such response proves nothing.
    async fn fetch(&mut self, window: Window) -> Result<AnchoredPage<R>, ApiError> {
        let page = AnchoredPage::from(self.prefetch.next(window).await?);
        let short = page.rows.len() < window.per_page as usize;
        let promised = self.promised > window.offset().saturating_add(page.row_count());
        let truncated = short && (promised || page.link.has_more_after(window.page));
        let repeated = self.is_repeated(&page, window);
        if !truncated && !repeated {
            self.repeated = false;
            return Ok(page);
        }
        let retried = AnchoredPage::from(self.prefetch.fetch_alongside(window).await?);
        if !self.is_repeated(&retried, window) {
            self.repeated = false;
        } else if std::mem::replace(&mut self.repeated, true) {
            return Err(self.unexpected("the same page at two offsets of a list"));
        }
        Ok(if retried.rows.len() < page.rows.len() {
            page
        } else {
            retried
        })
    }

    fn accept(&mut self, page: &AnchoredPage<R>, window: Window) -> Result<ListEnd, ApiError> {
        let row_count = page.row_count();
        let more = page.link.has_more_after(window.page);
        let first = window.offset() == 0;
        let has_new_rows = self.has_new_rows(page);
        let full = row_count == window.per_page;
        // Some servers use the default page size, ignore `per_page`, and send no `Link`.
        let default_size = first && row_count == Window::DEFAULT && !page.link.present;
        if first && !full && (more || default_size) {
            self.largest = row_count;
        }
        self.known = page.link.min_total_rows(window.page, window.per_page.min(row_count));
        // The first response shows the page size; if it is less than requested, the last page is counted by it.
        let size = if first { row_count } else { window.per_page };
        let promised = page.link.promised_rows(size).max(window.offset() + row_count);
        self.promised = self
            .promised
            .saturating_sub(self.removed_ahead(page, window))
            .max(promised);
        self.stale_windows = if has_new_rows { 0 } else { self.stale_windows + 1 };
        if self.stale_windows > MAX_STALE_WINDOWS {
            return Err(self.list_unstable());
        }
        self.accepted_windows += 1;
        self.covered = window.offset() + row_count;
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
            (true, _) if page.link.is_last(window.page) => ListEnd::Yes,
            (true, _) => ListEnd::No,
            (false, _) if default_size => ListEnd::No,
            (false, true) if has_new_rows => ListEnd::No,
            (false, true) => ListEnd::AgainstLink,
            (false, false) => ListEnd::Yes,
        })
    }

    pub(crate) fn keep(&mut self, page: AnchoredPage<R>) {
        for (row, anchor) in page.rows.into_iter().zip(&page.anchors) {
            // The later of two copies of a row is kept: a role may have changed in between.
            if let Some(earlier) = self.seen.get(anchor).and_then(|at| self.rows.get_mut(*at)) {
                *earlier = row;
            } else if !self.handed.contains(anchor) {
                self.seen.insert(*anchor, self.rows.len());
                self.rows.push(row);
                self.undigested.push(*anchor);
            }
        }
        self.previous = page.anchors;
    }

    /// Number of rows that certainly disappeared since the previous window: the distance by which the last row that
    /// both windows hold moved up. Earlier promises are reduced by it.
    fn removed_ahead(&self, page: &AnchoredPage<R>, window: Window) -> u32 {
        let offset = (self.covered as usize).saturating_sub(self.previous.len());
        let Some((was, is)) = page.last_shared_with(&self.previous) else {
            return 0;
        };
        let gone = (offset + was).saturating_sub(window.offset() as usize + is);
        u32::try_from(gone).unwrap_or(u32::MAX)
    }

    pub(crate) fn has_new_rows(&self, page: &AnchoredPage<R>) -> bool {
        let mut anchors = page.anchors.iter();
        anchors.any(|anchor| !self.previous.contains(anchor) && !self.seen.contains_key(anchor))
    }

    fn is_repeated(&self, page: &AnchoredPage<R>, window: Window) -> bool {
        let last_offset = (self.covered as usize).saturating_sub(self.previous.len());
        window.offset() as usize > last_offset
            && self.previous.len() > 1
            && page.rows.len() > 1
            && page.repeats_previous(&self.previous)
    }

    pub(crate) fn unexpected(&self, what: &str) -> ApiError {
        self.source.error(ApiErrorKind::Unexpected(what.to_owned()))
    }

    fn list_unstable(&self) -> ApiError {
        self.source
            .error(ApiErrorKind::Unavailable(Unavailability::ListUnstable))
    }
}
