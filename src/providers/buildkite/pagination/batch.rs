//! Rows that were read together, and how they are handed out in smaller parts.
//!
//! A part that ends where a window ended costs no request when the list is gone on with elsewhere; one that ends within a window
//! makes its successor read that window again, unless the same process still holds the rows. So a part ends with a window
//! wherever its limit allows that.

use std::collections::VecDeque;
use std::num::NonZeroUsize;

use super::cursor::{Anchor, Cursor, Prefix};
use super::{PART, Row, Window};

/// Rows to read for a part of at most `limit` rows, where what is read beyond it is not kept: as many windows as certainly fit.
#[must_use]
pub fn enough_for(limit: Option<NonZeroUsize>) -> usize {
    limit.map_or(PART, |limit| {
        limit.get().saturating_sub(Window::LARGEST as usize - 1).max(1)
    })
}

/// Some rows of a list.
#[derive(Debug)]
pub struct Batch<R> {
    /// The rows; one may come again in a later batch of a list that moves, none is left out.
    pub rows: Vec<R>,
    /// Where to go on; none at the end of the list.
    pub next: Option<Cursor>,
    /// Where the rows begin.
    begin: Cursor,
    /// Where windows ended: behind how many of the rows, and where to go on there.
    stops: VecDeque<(usize, Cursor)>,
    /// The largest extent that the list promised.
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
            stops: VecDeque::new(),
            promised: 0,
            order: Order::Listed,
        }
    }
}

impl<R: Row> Batch<R> {
    /// Rows in the list's order, read from `begin` on, of a list that promised so many.
    pub(crate) fn listed(rows: Vec<R>, begin: Cursor, promised: u32) -> Self {
        Self {
            rows,
            begin,
            promised,
            ..Self::default()
        }
    }

    /// Rows of a whole list, in the order of their ids.
    pub(crate) fn by_id(rows: Vec<R>, next: Option<Cursor>) -> Self {
        Self {
            rows,
            next,
            order: Order::ById,
            ..Self::default()
        }
    }

    pub(crate) fn going_on(mut self, stops: VecDeque<(usize, Cursor)>, next: Option<Cursor>) -> Self {
        (self.stops, self.next) = (stops, next);
        self
    }

    /// The largest extent that the list promised.
    pub(crate) fn promised(&self) -> u32 {
        self.promised
    }

    /// The rows of this batch, and those of the one that begins where this one ends.
    pub(crate) fn append(&mut self, further: Self) {
        let before = self.rows.len();
        self.stops.push_back((before, further.begin));
        let stops = further.stops.into_iter();
        self.stops.extend(stops.map(|(behind, next)| (before + behind, next)));
        self.rows.extend(further.rows);
        self.promised = self.promised.max(further.promised);
        self.next = further.next;
    }

    /// Takes off the first part: `limit` rows at most, or about [`PART`] where there is no limit. What is left goes on behind it.
    #[must_use]
    pub fn cut(&mut self, limit: Option<NonZeroUsize>) -> Self {
        let mut ends = self.stops.iter().map(|(behind, _)| *behind);
        let at = match (limit, self.order) {
            (None, Order::Listed) => ends.find(|behind| *behind >= PART).unwrap_or(usize::MAX),
            (None, Order::ById) => PART,
            (Some(limit), _) if self.rows.len() <= limit.get() => usize::MAX,
            (Some(limit), _) => {
                let mut fitting = ends.rev().filter(|behind| (1..=limit.get()).contains(behind));
                fitting.next().unwrap_or(limit.get())
            }
        };
        self.cut_at(at)
    }

    /// The rows behind `prefix`, where the batch begins with just those rows; else all of them.
    #[must_use]
    pub(crate) fn behind(mut self, prefix: Prefix) -> Self {
        let first = self.rows.iter().take(prefix.rows()).map(Anchor::of);
        if prefix.rows() > 0 && Prefix::default().and_all(first) == prefix {
            let _ = self.cut_at(prefix.rows());
        }
        self
    }

    fn cut_at(&mut self, at: usize) -> Self {
        if at >= self.rows.len() {
            return std::mem::take(self);
        }
        let next = self.position_behind(at);
        let rest = self.rows.split_off(at);
        self.stops.retain(|(behind, _)| *behind > at);
        for (behind, _) in &mut self.stops {
            *behind -= at;
        }
        Self {
            rows: std::mem::replace(&mut self.rows, rest),
            begin: std::mem::replace(&mut self.begin, next.clone()),
            next: Some(next),
            stops: VecDeque::new(),
            promised: self.promised,
            order: self.order,
        }
    }

    /// Where to go on behind so many of the rows.
    fn position_behind(&self, at: usize) -> Cursor {
        let rows = self.rows.get(..at).unwrap_or_default();
        if let (Order::ById, Some(last)) = (self.order, rows.last()) {
            return Cursor::After(last.id());
        }
        let stop = self.stops.iter().rev().find(|(behind, _)| *behind <= at);
        let (behind, position) = stop.map_or((0, &self.begin), |(behind, position)| (*behind, position));
        let since = rows.get(behind..).unwrap_or_default();
        position
            .clone()
            .having_handed_out(self.promised, since.iter().map(Anchor::of))
    }
}
