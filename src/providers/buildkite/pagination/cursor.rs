//! Cursors: where to continue a list.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Row, Window};

/// Identifies a row across windows: a digest of its id and creation time, the same in every process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Anchor(Uuid);

impl Anchor {
    /// The anchor of a row.
    pub(crate) fn of<R: Row>(row: &R) -> Self {
        Self(Uuid::new_v5(&row.id(), row.created_at().unwrap_or_default().as_bytes()))
    }
}

/// The rows returned so far: their number and a digest of their sequence. When a list is read again, it is compared
/// with this, so that a list that did not change continues after those rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Prefix {
    rows: u32,
    digest: Uuid,
}

impl Prefix {
    /// The number of rows.
    pub(crate) fn rows(self) -> usize {
        self.rows as usize
    }

    /// The prefix with one more row.
    pub(crate) fn with(self, row: Anchor) -> Self {
        Self {
            rows: self.rows.saturating_add(1),
            digest: Uuid::new_v5(&self.digest, row.0.as_bytes()),
        }
    }

    /// The prefix with these rows appended.
    pub(crate) fn with_all(self, rows: impl IntoIterator<Item = Anchor>) -> Self {
        rows.into_iter().fold(self, Self::with)
    }
}

/// Where to continue a list. Self-contained: another process can continue from it. The names are part of the page
/// tokens and must not change.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Cursor {
    /// The beginning of the list.
    #[default]
    Start,
    /// After the windows read so far.
    Behind {
        /// Rows covered, counted from the beginning of the list.
        covered: u32,
        /// The largest `per_page` that the server honours.
        largest: u32,
        /// The rows of the previous window. The next window repeats some of them.
        anchors: Vec<Anchor>,
        /// Minimum length of the list by the most recent response; absent in tokens of older releases.
        #[serde(default)]
        known: u32,
        /// The largest length that any response promised; absent in tokens of older releases.
        #[serde(default)]
        promised: u32,
        /// The rows that were returned, except those in `handed`.
        #[serde(default)]
        prefix: Prefix,
        /// Rows after the previous window that were already returned: the window that holds them is read again.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        handed: Vec<Anchor>,
    },
    /// After the row with this id, for a list that can only be read completely and is returned in the order of ids.
    After(Uuid),
}

/// Longer than the list of any organization; a cursor beyond was not made by reading a list.
pub(crate) const MAX_LIST_ROWS: u32 = 1_000_000;

impl Cursor {
    /// Whether reading a list can produce this cursor.
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
                let has_progress = *covered > 0 || !handed.is_empty();
                has_progress && (*covered).max(*promised) <= MAX_LIST_ROWS && (1..=Window::LARGEST).contains(largest)
            }
        }
    }

    /// After `rows` rows of a list that never changes.
    #[must_use]
    pub fn at_offset(rows: u32) -> Self {
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

    /// Rows before the cursor, counted from the beginning of the list; 0 if they are not counted.
    #[must_use]
    pub fn covered(&self) -> u32 {
        match self {
            Self::Start | Self::After(_) => 0,
            Self::Behind { covered, .. } => *covered,
        }
    }

    /// The cursor after further rows were returned, in a list that promised `promised` rows.
    pub(crate) fn after_rows(self, promised: u32, rows: impl Iterator<Item = Anchor>) -> Self {
        let mut cursor = match self {
            Self::Start => Self::at_offset(0),
            Self::Behind { .. } | Self::After(_) => self,
        };
        if let Self::Behind {
            promised: before,
            handed,
            ..
        } = &mut cursor
        {
            *before = promised.max(*before);
            handed.extend(rows);
        }
        cursor
    }

    /// All rows returned before this cursor.
    pub(crate) fn prefix(&self) -> Prefix {
        match self {
            Self::Start | Self::After(_) => Prefix::default(),
            Self::Behind { prefix, handed, .. } => prefix.with_all(handed.iter().copied()),
        }
    }
}
