//! Where to go on in a list.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Row, Window};

/// What a row is recognised by: a digest of its id and its beginning, the same in every process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Anchor(Uuid);

impl Anchor {
    pub(crate) fn of<R: Row>(row: &R) -> Self {
        Self(Uuid::new_v5(&row.id(), row.since().unwrap_or_default().as_bytes()))
    }
}

/// The rows that were handed out so far: how many, and a digest of their sequence. A list that is read again is compared with
/// it, so that a list that did not move is gone on with behind those rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Prefix {
    rows: u32,
    digest: Uuid,
}

impl Prefix {
    pub(crate) fn rows(self) -> usize {
        self.rows as usize
    }

    /// The same rows and one more.
    pub(crate) fn and(self, row: Anchor) -> Self {
        Self {
            rows: self.rows.saturating_add(1),
            digest: Uuid::new_v5(&self.digest, row.0.as_bytes()),
        }
    }

    /// The same rows and these.
    pub(crate) fn and_all(self, rows: impl IntoIterator<Item = Anchor>) -> Self {
        rows.into_iter().fold(self, Self::and)
    }
}

/// Where to go on in a list. Self-contained: another process can go on from it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Cursor {
    /// At its beginning.
    #[default]
    Start,
    /// Behind the windows read so far.
    Behind {
        /// Rows covered, counted from the list's beginning.
        covered: u32,
        /// The largest `per_page` that this server honours.
        largest: u32,
        /// The rows of the last window. The next window repeats some of them.
        anchors: Vec<Anchor>,
        /// Rows that the list was said to hold when it was last asked, at least; tokens of older releases do not tell.
        #[serde(default)]
        known: u32,
        /// The largest extent that any answer so far promised; tokens of older releases do not tell.
        #[serde(default)]
        promised: u32,
        /// The rows that were handed out, those of `handed` aside.
        #[serde(default)]
        prefix: Prefix,
        /// Rows behind the last window that were handed out already: the window that holds them is read again.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        handed: Vec<Anchor>,
    },
    /// Behind the row with this id, of a list that can only be read as a whole and is handed on in the order of ids.
    After(Uuid),
}

/// More rows than any organization has people; a position beyond was not made by reading a list.
pub(crate) const LONGEST_LIST: u32 = 1_000_000;

impl Cursor {
    /// Whether reading a list can have come to this position.
    #[must_use]
    pub fn is_plausible(&self) -> bool {
        match self {
            Self::Start | Self::After(_) => true,
            Self::Behind {
                covered,
                largest,
                handed,
                promised,
                ..
            } => {
                let begun = *covered > 0 || !handed.is_empty();
                begun && (*covered).max(*promised) <= LONGEST_LIST && (1..=Window::LARGEST).contains(largest)
            }
        }
    }

    /// Behind so many rows of a list that never moves.
    #[must_use]
    pub fn behind(rows: u32) -> Self {
        Self::Behind {
            covered: rows,
            largest: Window::LARGEST,
            anchors: vec![],
            known: 0,
            promised: 0,
            prefix: Prefix::default(),
            handed: vec![],
        }
    }

    /// Rows before the position, counted from the list's beginning; 0 where they are not counted.
    #[must_use]
    pub fn covered(&self) -> u32 {
        match self {
            Self::Start | Self::After(_) => 0,
            Self::Behind { covered, .. } => *covered,
        }
    }

    /// The same position in a list that promised so many rows, after more rows behind it were handed out.
    pub(crate) fn having_handed_out(self, promised: u32, rows: impl Iterator<Item = Anchor>) -> Self {
        let mut position = match self {
            Self::Start => Self::behind(0),
            Self::Behind { .. } | Self::After(_) => self,
        };
        if let Self::Behind {
            promised: before,
            handed,
            ..
        } = &mut position
        {
            *before = promised.max(*before);
            handed.extend(rows);
        }
        position
    }

    /// All rows that were handed out before this position.
    pub(crate) fn prefix(&self) -> Prefix {
        match self {
            Self::Start | Self::After(_) => Prefix::default(),
            Self::Behind { prefix, handed, .. } => prefix.and_all(handed.iter().copied()),
        }
    }
}
