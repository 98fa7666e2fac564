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
//! order of rows is used, never the time between windows, so windows may be asked one after the other or together ([`window_prefetch`]).
//! What leaves and comes again meanwhile did not stay: asked together, a window may be older than the one before it, and who
//! went from the one to the end of the list is in neither; the next reading has them.
//!
//! Where no anchor is shared, more rows moved than overlapped: the reader steps back and reads again, a bounded number of
//! times, then fails. A window full of rows already known is no end, since rows may have been inserted ahead. The same
//! window answered at two higher offsets is a server that ignores `page`: an error, unless it ignores `per_page` too and so
//! shows that it always answers the whole list. A server whose pages have a fixed size of their own cannot overlap; its list is
//! read until two passes agree ([`stable_scan`]). It shows by pages that are larger than asked for, or by a first page that was
//! short and has no anchor in common with what follows. A short window that names a next page is asked again; if it brings
//! nothing new either, the page behind it decides whether the list ends or the Link.
//!
//! A list that ends below an extent that any answer promised is read again ([`extent`]). A part of a list may end within a window
//! ([`batch`]): its successor reads that window again, and leaves out what was handed out, as it does with the rows that
//! neighbouring windows share. So while nothing moves no row comes twice, however the list is parted.
//!
//! A position that is handed on always lies further than the one that was read from, so no caller is sent in circles.

pub(crate) mod anchored_page;
mod batch;
mod contradictions;
pub(crate) mod cursor;
mod extent;
mod link;
mod overlap;
pub(crate) mod stable_scan;
mod window;
pub(crate) mod window_prefetch;

use uuid::Uuid;

pub use batch::{Batch, enough_for};
pub use cursor::{Anchor, Cursor, Prefix};
pub use link::Link;
pub use window::Window;

use extent::Whole;
use overlap::Outcome;

use super::api::error::{ApiError, ApiErrorKind, Unavailability};
use super::api::types::{OrganizationMember, Team, TeamMember};

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
    fn trouble(&self, trouble: ApiErrorKind) -> ApiError;
}

/// Rows of a part that has no other limit: about so many.
pub const PART: usize = 500;

/// Reads on from `position` until there are `enough` rows, or a little more, or the list ends.
///
/// # Errors
/// Whatever asking for a window ends with; `Unavailable` for a list that keeps moving; `Unexpected` for one whose answers
/// contradict each other. Where a limit or an outage stops the reading after some rows, these are returned: the next call,
/// which goes on from there, is the one that fails.
pub async fn read<R: Row, S: Windows<R>>(source: &S, position: Cursor, enough: usize) -> Result<Batch<R>, ApiError> {
    let after = match position {
        Cursor::After(id) => Some(id),
        Cursor::Start | Cursor::Behind { .. } => None,
    };
    let (from, wanted) = match after {
        Some(_) => (Cursor::Start, usize::MAX),
        None => (position, enough),
    };
    let prefix = from.prefix();
    let whole = match overlap::read(source, from, wanted).await? {
        Outcome::Batch(batch) if after.is_none() => return Ok(batch),
        Outcome::Batch(Batch { next: Some(_), .. }) => {
            return Err(source.trouble(ApiErrorKind::Unavailable(Unavailability::ListUnstable)));
        }
        Outcome::Batch(batch) => batch.rows,
        Outcome::Short(short) => match extent::read_again(source, short).await? {
            Whole::Listed(batch) if after.is_none() => return Ok(batch.behind(prefix)),
            Whole::Listed(batch) => batch.rows,
            Whole::Unordered(rows) => rows,
        },
        Outcome::Whole(rows) => rows,
        Outcome::FixedSize { promised } => stable_scan::read(source, promised).await?,
    };
    if whole.is_empty() && after.is_some() {
        return Err(source.trouble(ApiErrorKind::Unavailable(Unavailability::Short)));
    }
    Ok(slice(whole, after, enough.max(PART)))
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
    let next = rows.last().filter(|_| rest).map(|row| Cursor::After(row.id()));
    Batch::by_id(rows, next)
}

#[cfg(test)]
mod tests;
