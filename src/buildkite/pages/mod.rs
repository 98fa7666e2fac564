//! Reads lists of any length without losing a row that was there all along.
//!
//! Buildkite pages by offset. When a row ahead of the reader is deleted between two pages, every later row moves up by one
//! and the row at the boundary is in neither page: it looks revoked. So a list is read in **overlapping windows**. The next
//! window begins at least one row before the end of what is covered, and two neighbours must share an **anchor**: a row
//! with the same id and the same `created_at` (a member who was removed and added again is therefore none). Rows of people
//! do not tell when they began: one is an anchor only where the later window begins with it and holds most of what followed
//! it, which does not come along when somebody leaves and comes again.
//!
//! **Premise:** rows that stay keep their relative order (rows are inserted anywhere, deleted anywhere, but not moved). Of
//! people, somebody who leaves and comes again between two windows is moved; that is seen for anybody but the very last row
//! of a window, and for that one unless just as many others leave as let the next window begin with it.
//!
//! **Claim:** every row that was there throughout is in the union of the windows. Say that a row is *passed* once it, or its
//! place in the order, lies before the end of a window that was read. The first window starts at offset 0, so whatever
//! precedes its last row is in it. Let a later window hold an anchor `r` of its predecessor. A row that stays either precedes
//! `r`, and was passed before; or follows `r`, and then stands in this window, which is contiguous from `r` on, or behind its
//! end. Nothing is between two windows. The last window is shorter than was asked for, so nothing is behind it. Only the
//! order of rows is used, never the time between windows, so windows may be asked one after the other or together ([`ahead`]).
//! What leaves and comes again meanwhile did not stay: asked together, a window may be older than the one before it, and who
//! went from the one to the end of the list is in neither; the next reading has them.
//!
//! Where no anchor is shared, more rows moved than overlapped: the reader steps back and reads again, a bounded number of
//! times, then fails. A window full of rows already known is no end, since rows may have been inserted ahead. The same
//! window answered at two higher offsets is a server that ignores `page`: an error, unless it ignores `per_page` too and so
//! shows that it always answers the whole list. A server whose pages have a fixed size of their own cannot overlap; its list is
//! read until two passes agree ([`passes`]). It shows by pages that are larger than asked for, or by a first page that was
//! short and has no anchor in common with what follows. A short window that names a next page is asked again; if it brings
//! nothing new either, the page behind it decides whether the list ends or the Link.
//!
//! A position that is handed on always lies further than the one that was read from, so no caller is sent in circles.

mod ahead;
mod link;
mod overlap;
mod passes;
mod window;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use link::Link;
pub use window::Window;

use super::error::{ApiError, Trouble};
use super::types::{OrganizationMember, Team, TeamMember};

/// A row of a list.
pub trait Row: Send {
    /// What tells this row from every other.
    fn id(&self) -> Uuid;
    /// When the row came to be, as Buildkite wrote it, where rows of its kind have that.
    fn since(&self) -> Option<&str>;
}

impl Row for OrganizationMember {
    fn id(&self) -> Uuid {
        self.id.uuid()
    }

    fn since(&self) -> Option<&str> {
        None
    }
}

impl Row for Team {
    fn id(&self) -> Uuid {
        self.id.uuid()
    }

    fn since(&self) -> Option<&str> {
        self.created_at.as_deref()
    }
}

impl Row for TeamMember {
    fn id(&self) -> Uuid {
        self.user_id.uuid()
    }

    fn since(&self) -> Option<&str> {
        self.created_at.as_deref()
    }
}

/// What a row is recognised by: a digest of its id and its beginning, the same in every process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Anchor(Uuid);

impl Anchor {
    fn of<R: Row>(row: &R) -> Self {
        Self(Uuid::new_v5(&row.id(), row.since().unwrap_or_default().as_bytes()))
    }
}

/// One answer of a list endpoint.
#[derive(Debug)]
pub struct Answer<R> {
    /// Its rows, in the server's order.
    pub rows: Vec<R>,
    /// What its `Link` header says.
    pub link: Link,
}

/// A list endpoint that can be asked for windows.
pub trait Windows<R: Row>: Sync {
    /// How many windows may be asked for together.
    fn together(&self) -> usize;

    /// Asks for one window.
    fn window(&self, window: Window) -> impl Future<Output = Result<Answer<R>, ApiError>> + Send;

    /// Names the list in an error about it.
    fn trouble(&self, trouble: Trouble) -> ApiError;
}

/// Where to go on in a list. Self-contained: another process can go on from it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Position {
    /// At its beginning.
    #[default]
    Start,
    /// Behind the windows read so far.
    Behind {
        /// Rows covered, counted from the list's beginning.
        covered: u32,
        /// The largest `per_page` that this server honours.
        largest: u32,
        /// The rows of the last window.
        anchors: Vec<Anchor>,
        /// Rows that the list was said to hold, at least; tokens of older releases do not tell.
        #[serde(default)]
        known: u32,
    },
    /// Behind the row with this id, of a list that can only be read as a whole and is handed on in the order of ids.
    After(Uuid),
}

/// More rows than any organization has people; a position beyond was not made by reading a list.
const LONGEST_LIST: u32 = 1_000_000;

impl Position {
    /// Whether reading a list can have come to this position.
    #[must_use]
    pub fn is_plausible(&self) -> bool {
        match self {
            Self::Start | Self::After(_) => true,
            Self::Behind { covered, largest, .. } => {
                (1..=LONGEST_LIST).contains(covered) && (1..=Window::LARGEST).contains(largest)
            }
        }
    }
}

/// Rows of a part.
pub const PART: usize = 500;

/// Some rows of a list.
#[derive(Debug)]
pub struct Batch<R> {
    /// The rows; one may come again in a later batch, none is left out.
    pub rows: Vec<R>,
    /// Where to go on; none at the end of the list.
    pub next: Option<Position>,
    /// Where it can be parted: behind how many rows, and where to go on there.
    stops: Vec<(usize, Position)>,
}

impl<R> Default for Batch<R> {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            next: None,
            stops: Vec::new(),
        }
    }
}

impl<R> Batch<R> {
    /// The same rows in parts of about [`PART`], each with its own place to go on.
    pub fn parts(self) -> impl Iterator<Item = Self> {
        let mut rows = self.rows.into_iter();
        let (mut taken, total) = (0, rows.len());
        let stops = self.stops.into_iter().map(|(behind, next)| (behind, Some(next)));
        stops.chain([(total, self.next)]).map(move |(behind, next)| {
            let part = rows.by_ref().take(behind - taken).collect();
            taken = behind;
            Batch {
                rows: part,
                next,
                stops: Vec::new(),
            }
        })
    }
}

/// Reads on from `position` until there are `enough` rows, or a little more, or the list ends.
///
/// # Errors
/// Whatever asking for a window ends with; `Unavailable` for a list that keeps moving; `Unexpected` for one whose answers
/// contradict each other. Where a limit or an outage stops the reading after some rows, these are returned: the next call,
/// which goes on from there, is the one that fails.
pub async fn read<R: Row, S: Windows<R>>(source: &S, position: Position, enough: usize) -> Result<Batch<R>, ApiError> {
    let after = match position {
        Position::After(id) => Some(id),
        Position::Start | Position::Behind { .. } => None,
    };
    let (from, wanted) = match after {
        Some(_) => (Position::Start, usize::MAX),
        None => (position, enough),
    };
    let whole = match overlap::read(source, from, wanted).await? {
        overlap::Outcome::Batch(batch) if after.is_none() => return Ok(batch),
        overlap::Outcome::Batch(Batch { next: Some(_), .. }) => {
            return Err(source.trouble(Trouble::Unavailable(super::error::Cause::Moving)));
        }
        overlap::Outcome::Batch(batch) => batch.rows,
        overlap::Outcome::Whole(rows) => rows,
        overlap::Outcome::FixedSize => passes::read(source).await?,
    };
    Ok(slice(whole, after, enough))
}

/// The part of a whole list that lies behind `after` in the order of ids.
fn slice<R: Row>(mut rows: Vec<R>, after: Option<Uuid>, enough: usize) -> Batch<R> {
    // Of rows with the same id the later one is kept.
    rows.reverse();
    rows.sort_by_key(Row::id);
    rows.dedup_by_key(|row| row.id());
    if let Some(after) = after {
        rows.retain(|row| row.id() > after);
    }
    let rest = rows.len() > enough;
    rows.truncate(enough);
    let next = rows.last().filter(|_| rest).map(|row| Position::After(row.id()));
    let behind = |part: &[R]| part.last().map(|row| Position::After(row.id()));
    let ends = rows.chunks(PART).map(behind);
    let mut stops: Vec<_> = (1..)
        .zip(ends)
        .filter_map(|(part, end)| Some((part * PART, end?)))
        .collect();
    // The last part ends where the batch does.
    stops.pop();
    Batch { rows, next, stops }
}

#[cfg(test)]
mod tests;
