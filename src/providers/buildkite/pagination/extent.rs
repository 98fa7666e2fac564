//! Lists that end before the extent that they promised.
//!
//! An answer promises rows in two ways: it holds them, or its `Link` names a last page. Rows that are seen to have gone meanwhile,
//! because those behind them moved up, are taken off what was promised before. A list that ends below the largest
//! promise has lost rows meanwhile, or an answer was wrong; only reading it again can tell which. So it is read again, three
//! times at most. A reading counts where it keeps its own promises, and is believed where it keeps all that were made before as
//! well, or holds the same ids as the reading before it. One without any row never is: rows were seen or promised a moment ago.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::overlap;
use super::overlap::Outcome;
use super::stable_scan;
use super::{Batch, Cursor, Row, Windows};
use crate::providers::buildkite::api::error::{ApiError, ApiErrorKind, Unavailability};

/// How often a list is read again at most.
const READINGS: usize = 3;

/// A list that ended below what it promised.
pub(crate) struct Short {
    /// The largest extent that was promised.
    pub(crate) promised: u32,
    /// The ids of its rows, where it was read from its beginning.
    pub(crate) ids: Option<BTreeSet<Uuid>>,
}

/// A whole list.
pub(crate) enum Whole<R> {
    /// Its rows in the list's order.
    Listed(Box<Batch<R>>),
    /// Its rows, in no order that could be gone on with.
    Unordered(Vec<R>),
}

impl<R: Row> Whole<R> {
    fn rows(&self) -> &[R] {
        match self {
            Self::Listed(batch) => &batch.rows,
            Self::Unordered(rows) => rows,
        }
    }

    fn ids(&self) -> BTreeSet<Uuid> {
        ids(self.rows())
    }

    /// How many rows the list has, by its own account.
    fn extent(&self) -> usize {
        match self {
            Self::Listed(batch) => batch.promised() as usize,
            Self::Unordered(rows) => rows.len(),
        }
    }
}

pub(crate) fn ids<R: Row>(rows: &[R]) -> BTreeSet<Uuid> {
    rows.iter().map(Row::id).collect()
}

/// Reads a list again that was `short`, until it can be believed.
///
/// # Errors
/// `Unavailable` where no reading can be believed, and whatever asking for a window ends with.
pub(crate) async fn read_again<R: Row, S: Windows<R>>(source: &S, short: Short) -> Result<Whole<R>, ApiError> {
    let Short {
        promised,
        ids: mut before,
    } = short;
    let mut promised = promised as usize;
    for _ in 0..READINGS {
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
    Err(source.trouble(ApiErrorKind::Unavailable(Unavailability::Short)))
}

/// One reading from the list's beginning to its end.
async fn read_whole<R: Row, S: Windows<R>>(source: &S) -> Result<Result<Whole<R>, Short>, ApiError> {
    let mut read: Option<Batch<R>> = None;
    let mut position = Cursor::Start;
    loop {
        match overlap::read(source, position, usize::MAX).await? {
            Outcome::Batch(batch) => {
                let next = batch.next.clone();
                let batch = match read.take() {
                    Some(mut before) => {
                        before.append(batch);
                        before
                    }
                    None => batch,
                };
                match next {
                    // An outage in the middle, after which the reading may go on.
                    Some(next) => (position, read) = (next, Some(batch)),
                    None => return Ok(Ok(Whole::Listed(Box::new(batch)))),
                }
            }
            Outcome::Short(short) => return Ok(Err(short)),
            Outcome::Whole(rows) => return Ok(Ok(Whole::Unordered(rows))),
            Outcome::FixedSize { promised } => {
                let rows = stable_scan::read(source, promised).await?;
                return Ok(Ok(Whole::Unordered(rows)));
            }
        }
    }
}
