//! A window's answer, held against the rows of the window before it.

use std::collections::{HashMap, HashSet};

use super::cursor::Anchor;
use super::{Answer, Link, Row};

/// A window's answer, each row recognised.
pub(crate) struct Recognised<R> {
    pub(crate) rows: Vec<R>,
    pub(crate) anchors: Vec<Anchor>,
    pub(crate) link: Link,
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

impl<R: Row> Recognised<R> {
    pub(crate) fn held(&self) -> u32 {
        u32::try_from(self.rows.len()).unwrap_or(u32::MAX)
    }

    pub(crate) fn shares_an_anchor_with(&self, last: &[Anchor]) -> bool {
        let mut recognised = self.rows.iter().zip(&self.anchors);
        recognised.any(|(row, anchor)| row.since().is_some() && last.contains(anchor)) || self.goes_on_from(last)
    }

    /// Whether the window begins with a row of the last one and holds most of those that followed it. A row that does not
    /// tell its beginning may have been removed and added again elsewhere; what followed it did not come along.
    fn goes_on_from(&self, last: &[Anchor]) -> bool {
        let first = self.anchors.first();
        let Some(place) = last.iter().position(|anchor| Some(anchor) == first) else {
            return false;
        };
        let followers = last.get(place..).unwrap_or_default();
        let held: HashSet<&Anchor> = self.anchors.iter().collect();
        let there = followers.iter().filter(|anchor| held.contains(anchor)).count();
        there * 2 >= followers.len()
    }

    /// The last of the rows of the last window that are here too: its places there and here.
    pub(crate) fn last_shared_with(&self, last: &[Anchor]) -> Option<(usize, usize)> {
        let here: HashMap<&Anchor, usize> = self.anchors.iter().zip(0..).collect();
        let mut shared = last.iter().enumerate().rev();
        shared.find_map(|(was, anchor)| Some((was, *here.get(anchor)?)))
    }

    pub(crate) fn starts_like(&self, last: &[Anchor]) -> bool {
        self.anchors.iter().zip(last).all(|(anchor, last)| anchor == last)
    }
}
