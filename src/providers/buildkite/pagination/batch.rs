//! Rows that were read together, and how they are split into pages.
//!
//! A page that ends where a window ends costs no extra request when another process continues the list. A page that
//! ends within a window makes its successor read that window again, unless the same process still holds the rows. So
//! a page ends at the end of a window whenever its limit allows that.

use std::collections::VecDeque;
use std::num::NonZeroUsize;

use super::Row;
use super::cursor::{Anchor, Cursor, Prefix};
use super::page_size::DEFAULT_BATCH_ROWS;

/// Consecutive rows of a list.
#[derive(Debug)]
pub struct Batch<R> {
    /// The rows. A row may appear again in a later batch of a list that changes; no row is left out.
    pub rows: Vec<R>,
    /// Where to continue; `None` at the end of the list.
    pub next: Option<Cursor>,
    /// The cursor before the first row.
    begin: Cursor,
    /// Ends of windows: the number of rows before each, and the cursor there.
    split_points: VecDeque<(usize, Cursor)>,
    /// The largest list length that a response promised.
    promised: u32,
    order: Order,
}

/// The order of a batch's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Listed,
    ById,
}

impl<R> Default for Batch<R> {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            next: None,
            begin: Cursor::Start,
            split_points: VecDeque::new(),
            promised: 0,
            order: Order::Listed,
        }
    }
}

impl<R: Row> Batch<R> {
    /// Rows in the order of the list, read from `begin`, of a list that promised `promised` rows.
    pub(crate) fn listed(rows: Vec<R>, begin: Cursor, promised: u32) -> Self {
        Self {
            rows,
            begin,
            promised,
            ..Self::default()
        }
    }

    /// Rows of a complete list in the order of their ids.
    pub(crate) fn by_id(rows: Vec<R>, next: Option<Cursor>) -> Self {
        Self {
            rows,
            next,
            order: Order::ById,
            ..Self::default()
        }
    }

    /// The same rows with the cursors at which they can be split and continued.
    pub(crate) fn with_continuation(mut self, split_points: VecDeque<(usize, Cursor)>, next: Option<Cursor>) -> Self {
        (self.split_points, self.next) = (split_points, next);
        self
    }

    /// The largest list length that a response promised.
    pub(crate) fn promised(&self) -> u32 {
        self.promised
    }

    /// Appends a batch that begins where this one ends.
    pub(crate) fn append(&mut self, further: Self) {
        let before = self.rows.len();
        self.split_points.push_back((before, further.begin));
        let split_points = further.split_points.into_iter();
        self.split_points
            .extend(split_points.map(|(behind, next)| (before + behind, next)));
        self.rows.extend(further.rows);
        self.promised = self.promised.max(further.promised);
        self.next = further.next;
    }

    /// Removes and returns the first page: at most `limit` rows, or about [`DEFAULT_BATCH_ROWS`] without a limit. The
    /// remaining rows follow it.
    #[must_use]
    pub fn split(&mut self, limit: Option<NonZeroUsize>) -> Self {
        let mut ends = self.split_points.iter().map(|(behind, _)| *behind);
        let at = match (limit, self.order) {
            (None, Order::Listed) => ends.find(|behind| *behind >= DEFAULT_BATCH_ROWS).unwrap_or(usize::MAX),
            (None, Order::ById) => DEFAULT_BATCH_ROWS,
            (Some(limit), _) if self.rows.len() <= limit.get() => usize::MAX,
            (Some(limit), _) => {
                let mut fitting = ends.rev().filter(|behind| (1..=limit.get()).contains(behind));
                fitting.next().unwrap_or(limit.get())
            }
        };
        self.split_at_row(at)
    }

    /// The rows after `prefix` if the batch begins with exactly those rows; otherwise all rows.
    #[must_use]
    pub(crate) fn after_prefix(mut self, prefix: Prefix) -> Self {
        let first = self.rows.iter().take(prefix.rows()).map(Anchor::of);
        if prefix.rows() > 0 && Prefix::default().with_all(first) == prefix {
            let _ = self.split_at_row(prefix.rows());
        }
        self
    }

    fn split_at_row(&mut self, at: usize) -> Self {
        if at >= self.rows.len() {
            return std::mem::take(self);
        }
        let next = self.cursor_after(at);
        let rest = self.rows.split_off(at);
        self.split_points.retain(|(behind, _)| *behind > at);
        for (behind, _) in &mut self.split_points {
            *behind -= at;
        }
        Self {
            rows: std::mem::replace(&mut self.rows, rest),
            begin: std::mem::replace(&mut self.begin, next.clone()),
            next: Some(next),
            split_points: VecDeque::new(),
            promised: self.promised,
            order: self.order,
        }
    }

    /// The cursor after the first `at` rows.
    fn cursor_after(&self, at: usize) -> Cursor {
        let rows = self.rows.get(..at).unwrap_or_default();
        if let (Order::ById, Some(last)) = (self.order, rows.last()) {
            return Cursor::After(last.id());
        }
        let stop = self.split_points.iter().rev().find(|(behind, _)| *behind <= at);
        let (behind, cursor) = stop.map_or((0, &self.begin), |(behind, cursor)| (*behind, cursor));
        let since = rows.get(behind..).unwrap_or_default();
        cursor.clone().after_rows(self.promised, since.iter().map(Anchor::of))
    }
}
