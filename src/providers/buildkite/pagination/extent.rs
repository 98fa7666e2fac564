//! Lists that end below their promised length.
//!
//! A response promises rows in two ways: it contains them, or its `Link` names a last page. Rows that are known to be
//! gone, because later rows moved up, are subtracted from earlier promises. If a list ends below the largest promise,
//! it lost rows meanwhile or a response was wrong; only another read can decide. So the list is read again, at most
//! three times. A read is valid if it keeps its own promises, and is accepted if it also keeps all earlier promises
//! or has the same ids as the read before it. An empty read is never accepted, because rows were seen or promised a
//! moment ago.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::overlap;
use super::overlap::OverlapResult;
use super::stable_scan;
use super::{Batch, Cursor, ListSource, Row};
use crate::providers::buildkite::api::error::{ApiError, ApiErrorKind, Unavailability};

/// Maximum number of repeated reads.
const MAX_READS: usize = 3;

/// A list that ended below its promised length.
pub(crate) struct ShortList {
    /// The largest promised length.
    pub(crate) promised: u32,
    /// The ids of the rows, if the list was read from its beginning.
    pub(crate) ids: Option<BTreeSet<Uuid>>,
}

/// A complete list.
pub(crate) enum CompleteList<R> {
    /// The rows in the order of the list.
    Listed(Box<Batch<R>>),
    /// The rows in an order from which a later read cannot continue.
    Unordered(Vec<R>),
}

impl<R: Row> CompleteList<R> {
    fn rows(&self) -> &[R] {
        match self {
            Self::Listed(batch) => &batch.rows,
            Self::Unordered(rows) => rows,
        }
    }

    fn ids(&self) -> BTreeSet<Uuid> {
        ids(self.rows())
    }

    /// The length of the list by its own account.
    fn extent(&self) -> usize {
        match self {
            Self::Listed(batch) => batch.promised() as usize,
            Self::Unordered(rows) => rows.len(),
        }
    }
}

/// The ids of the rows.
pub(crate) fn ids<R: Row>(rows: &[R]) -> BTreeSet<Uuid> {
    rows.iter().map(Row::id).collect()
}

/// Reads a `short` list again until a read is accepted.
///
/// # Errors
/// `Unavailable` if no read is accepted, and any error of a request for a window.
pub(crate) async fn reread<R: Row, S: ListSource<R>>(
    source: &S,
    short: ShortList,
) -> Result<CompleteList<R>, ApiError> {
    let ShortList {
        promised,
        ids: mut before,
    } = short;
    let mut promised = promised as usize;
    for _ in 0..MAX_READS {
        let whole = match read_whole(source).await? {
            Ok(whole) => whole,
            Err(short) => {
                promised = promised.max(short.promised as usize);
                before = short.ids;
                continue;
            }
        };
        let ids = whole.ids();
        if !ids.is_empty() && (whole.extent() >= promised || before.as_ref() == Some(&ids)) {
            return Ok(whole);
        }
        before = Some(ids);
    }
    Err(source.error(ApiErrorKind::Unavailable(Unavailability::Short)))
}

/// One read from the beginning of the list to its end.
async fn read_whole<R: Row, S: ListSource<R>>(source: &S) -> Result<Result<CompleteList<R>, ShortList>, ApiError> {
    let mut read: Option<Batch<R>> = None;
    let mut cursor = Cursor::Start;
    loop {
        match overlap::read(source, cursor, usize::MAX).await? {
            OverlapResult::Batch(batch) => {
                let next = batch.next.clone();
                let batch = match read.take() {
                    Some(mut before) => {
                        before.append(batch);
                        before
                    }
                    None => batch,
                };
                match next {
                    // An outage in the middle, after which the read may continue.
                    Some(next) => (cursor, read) = (next, Some(batch)),
                    None => return Ok(Ok(CompleteList::Listed(Box::new(batch)))),
                }
            }
            OverlapResult::Short(short) => return Ok(Err(short)),
            OverlapResult::Unpaged(rows) => return Ok(Ok(CompleteList::Unordered(rows))),
            OverlapResult::FixedSize { promised } => {
                let rows = stable_scan::read(source, promised).await?;
                return Ok(Ok(CompleteList::Unordered(rows)));
            }
        }
    }
}
