//! Reads lists of any length without losing a row that exists throughout the read.
//!
//! Buildkite pages by offset. When a row ahead of the reader is deleted between two pages, every later row moves up
//! by one and the row at the boundary appears in neither page, as if access had been revoked. So a list is read in
//! **overlapping windows**: the next window begins at least one row before the end of the covered rows, and two
//! neighbours must share an **anchor**, which is a row with the same id and the same `created_at` (so a member who
//! was removed and added again is not an anchor). Rows of organization members have no `created_at`: such a row is an
//! anchor only if the later window begins with it and holds most of the rows that followed it, because those do not
//! move when a member leaves and rejoins.
//!
//! **Premise:** rows that stay keep their relative order: rows may be inserted or deleted anywhere, but not moved. An
//! organization member who leaves and rejoins between two windows is moved. The reader detects that, except for the
//! very last row of a window, and there only if just as many other rows leave as let the next window begin with it.
//!
//! **Claim:** every row that exists throughout the read is in the union of the windows. A row is *passed* once it, or
//! its place in the order, lies before the end of a window that was read. The first window starts at offset 0, so it
//! holds every row that precedes its last row. Let a later window hold an anchor `r` of its predecessor. A row that
//! stays either precedes `r` and was passed before, or follows `r` and is then in this window, which is contiguous
//! from `r` on, or after its end. No row lies between two windows. The last window is shorter than requested, so no
//! row follows it. The argument uses the order of rows only, never the time between windows, so windows may be
//! fetched sequentially or concurrently (`window_prefetch`). A row that leaves and returns meanwhile did not stay:
//! with concurrent requests a window may be older than its predecessor, and a row that moved from it to the end of
//! the list is in neither; the next read returns it.
//!
//! What the reader does when a page does not fit:
//!
//! - No shared anchor: more rows moved than overlapped. Step back and retry, at most 4 times, then fail.
//! - All rows known: continue, because rows may have been inserted ahead; at most 8 windows.
//! - Same page at two offsets: the server ignores `page`. An error, unless the server ignores `per_page` too and
//!   always returns the complete list.
//! - Page size other than requested: the server ignores `per_page`, so its windows cannot overlap. Read the list
//!   until two scans agree (`stable_scan`). The size shows in pages larger than requested, or in a short first page
//!   without an anchor in common with its successor.
//! - Short page, but `Link` names a next page: fetch it again. If it still has no new rows, the next page decides
//!   whether the list or the `Link` is right.
//!
//! A list that ends below an extent that any response promised is read again (`extent`). A page of our own may end
//! within a window (`batch`): its successor reads that window again and leaves out the rows that were already
//! returned, as it does with the rows that neighbouring windows share. So no row is returned twice while the list
//! does not change, for any page size.
//!
//! A returned cursor always lies beyond the cursor that was read from, so no caller loops.

pub(crate) mod anchored_page;
mod batch;
mod contradictions;
pub(crate) mod cursor;
mod extent;
mod link;
mod overlap;
mod page_size;
pub(crate) mod stable_scan;
mod window;
pub(crate) mod window_prefetch;

use uuid::Uuid;

pub use batch::Batch;
pub use cursor::{Anchor, Cursor, Prefix};
pub use link::Link;
pub(crate) use link::next_page_url;
pub use page_size::{DEFAULT_BATCH_ROWS, min_rows_for};
pub use window::Window;

use extent::CompleteList;
use overlap::OverlapResult;

use super::api::access::{TeamPipeline, TeamSuite};
use super::api::error::{ApiError, ApiErrorKind, Unavailability};
use super::api::objects::{Cluster, ClusterMaintainer, Pipeline, Registry, Suite};
use super::api::types::{OrganizationMember, Team, TeamMember};

/// A row of a list.
pub trait Row: Send {
    /// The identity of the row.
    fn id(&self) -> Uuid;
    /// The creation time as Buildkite wrote it, if rows of this type have one.
    fn created_at(&self) -> Option<&str>;
}

/// Rows that are identified by `id` or by another field, with or without a creation time.
macro_rules! row {
    ($name:ident) => {
        row!($name, |_| None);
    };
    ($name:ident, created_at) => {
        row!($name, |row: &$name| row.created_at.as_deref());
    };
    ($name:ident, $created_at:expr) => {
        row!($name, id, $created_at);
    };
    ($name:ident, $id:ident, created_at) => {
        row!($name, $id, |row: &$name| row.created_at.as_deref());
    };
    ($name:ident, $id:ident, $created_at:expr) => {
        impl Row for $name {
            fn id(&self) -> Uuid {
                self.$id.uuid()
            }

            fn created_at(&self) -> Option<&str> {
                let created_at: fn(&Self) -> Option<&str> = $created_at;
                created_at(self)
            }
        }
    };
}

row!(OrganizationMember);
row!(Team, created_at);
row!(Pipeline, created_at);
row!(Suite, created_at);
row!(Registry);
row!(Cluster, created_at);
row!(ClusterMaintainer);
row!(TeamMember, user_id, created_at);
row!(TeamPipeline, pipeline_id, created_at);
row!(TeamSuite, suite_id, created_at);

/// One response of a list endpoint.
#[derive(Debug)]
pub struct ListPage<R> {
    /// The rows in the order of the server.
    pub rows: Vec<R>,
    /// The parsed `Link` header.
    pub link: Link,
}

/// A list endpoint that returns windows of its rows.
pub trait ListSource<R: Row>: Sync {
    /// The number of windows that may be requested concurrently.
    fn concurrency(&self) -> usize;

    /// Requests one window.
    fn window(&self, window: Window) -> impl Future<Output = Result<ListPage<R>, ApiError>> + Send;

    /// An error about this list, with its endpoint.
    fn error(&self, kind: ApiErrorKind) -> ApiError;
}

/// Reads from `cursor` until there are at least `min_rows` rows or the list ends.
///
/// # Errors
/// Any error of a request for a window; `Unavailable` for a list that keeps changing; `Unexpected` for a list whose
/// responses contradict each other. If a rate limit or an outage stops the read after some rows, these rows are
/// returned, and the next call, which continues after them, fails.
pub async fn read<R: Row, S: ListSource<R>>(source: &S, cursor: Cursor, min_rows: usize) -> Result<Batch<R>, ApiError> {
    let after = match cursor {
        Cursor::After(id) => Some(id),
        Cursor::Start | Cursor::Behind { .. } => None,
    };
    let (from, wanted) = match after {
        Some(_) => (Cursor::Start, usize::MAX),
        None => (cursor, min_rows),
    };
    let prefix = from.prefix();
    let whole = match overlap::read(source, from, wanted).await? {
        OverlapResult::Batch(batch) if after.is_none() => return Ok(batch),
        OverlapResult::Batch(Batch { next: Some(_), .. }) => {
            return Err(source.error(ApiErrorKind::Unavailable(Unavailability::ListUnstable)));
        }
        OverlapResult::Batch(batch) => batch.rows,
        OverlapResult::Short(short) => match extent::reread(source, short).await? {
            CompleteList::Listed(batch) if after.is_none() => return Ok(batch.after_prefix(prefix)),
            CompleteList::Listed(batch) => batch.rows,
            CompleteList::Unordered(rows) => rows,
        },
        OverlapResult::Unpaged(rows) => rows,
        OverlapResult::FixedSize { promised } => stable_scan::read(source, promised).await?,
    };
    if whole.is_empty() && after.is_some() {
        return Err(source.error(ApiErrorKind::Unavailable(Unavailability::Short)));
    }
    Ok(slice(whole, after, min_rows.max(DEFAULT_BATCH_ROWS)))
}

/// The rows of a complete list that follow `from`, in the order of ids; `None` for a cursor that such a list never produces.
pub(crate) fn rows_after<R: Row>(rows: Vec<R>, from: &Cursor) -> Option<Batch<R>> {
    match from {
        Cursor::Start => Some(slice(rows, None, usize::MAX)),
        Cursor::After(id) => Some(slice(rows, Some(*id), usize::MAX)),
        Cursor::Behind { .. } => None,
    }
}

/// The part of a complete list that follows `after` in the order of ids.
fn slice<R: Row>(mut rows: Vec<R>, after: Option<Uuid>, min_rows: usize) -> Batch<R> {
    // Of several rows with the same id the last one is kept.
    rows.reverse();
    rows.sort_by_key(Row::id);
    rows.dedup_by_key(|row| row.id());
    if let Some(after) = after {
        rows.retain(|row| row.id() > after);
    }
    let rest = rows.len() > min_rows;
    rows.truncate(min_rows);
    let next = rows.last().filter(|_| rest).map(|row| Cursor::After(row.id()));
    Batch::by_id(rows, next)
}

#[cfg(test)]
mod tests;
