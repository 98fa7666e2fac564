//! The page of a window, compared with the rows of the previous window.

use std::collections::{HashMap, HashSet};

use super::cursor::Anchor;
use super::{Link, ListPage, Row};

/// The page of a window with the anchor of each row.
pub(crate) struct AnchoredPage<R> {
    pub(crate) rows: Vec<R>,
    pub(crate) anchors: Vec<Anchor>,
    pub(crate) link: Link,
}

impl<R: Row> From<ListPage<R>> for AnchoredPage<R> {
    fn from(ListPage { rows, link }: ListPage<R>) -> Self {
        Self {
            anchors: rows.iter().map(Anchor::of).collect(),
            rows,
            link,
        }
    }
}

impl<R: Row> AnchoredPage<R> {
    /// The number of rows.
    pub(crate) fn row_count(&self) -> u32 {
        u32::try_from(self.rows.len()).unwrap_or(u32::MAX)
    }

    /// Whether a row of the previous window shows that no row lies between the two windows.
    pub(crate) fn shares_anchor_with(&self, previous: &[Anchor]) -> bool {
        let mut recognised = self.rows.iter().zip(&self.anchors);
        recognised.any(|(row, anchor)| row.created_at().is_some() && previous.contains(anchor))
            || self.continues_previous(previous)
    }

    /// Whether the window begins with a row of the previous window and holds most of the rows that followed it. A row
    /// without a creation time may have been removed and added again elsewhere; its followers do not move with it.
    fn continues_previous(&self, previous: &[Anchor]) -> bool {
        let first = self.anchors.first();
        let Some(place) = previous.iter().position(|anchor| Some(anchor) == first) else {
            return false;
        };
        let followers = previous.get(place..).unwrap_or_default();
        let held: HashSet<&Anchor> = self.anchors.iter().collect();
        let there = followers.iter().filter(|anchor| held.contains(anchor)).count();
        there * 2 >= followers.len()
    }

    /// The last row of the previous window that is also in this one: its index there and here.
    pub(crate) fn last_shared_with(&self, previous: &[Anchor]) -> Option<(usize, usize)> {
        let here: HashMap<&Anchor, usize> = self.anchors.iter().zip(0..).collect();
        let mut shared = previous.iter().enumerate().rev();
        shared.find_map(|(was, anchor)| Some((was, *here.get(anchor)?)))
    }

    /// Whether the rows equal those of the previous window, up to the length of the shorter one.
    pub(crate) fn repeats_previous(&self, previous: &[Anchor]) -> bool {
        self.anchors
            .iter()
            .zip(previous)
            .all(|(anchor, previous)| anchor == previous)
    }
}
