//! Lists of servers that use their own page size: scanned until two scans agree.
//!
//! A scan misses a row because another row ahead of it was deleted after it had been read; that other row is in this
//! scan and not in the next, so the two differ. Two scans with the same rows missed no row that stayed. That holds
//! for adjacent pages: a page of another size before the last is an error. A scan that ends below its own promised
//! length is discarded ([`super::extent`]), and an empty scan does not end a list that had rows.

use std::collections::BTreeSet;

use super::{Anchor, ListSource, Row, Window};
use crate::providers::buildkite::api::error::{ApiError, ApiErrorKind, Unavailability};

/// Maximum number of scans.
const MAX_SCANS: usize = 3;

/// Maximum number of pages of one scan: far above the largest organization, and a bound for a server that never ends.
const MAX_PAGES: u32 = 10_000;

/// One scan: its rows, and the largest length that its pages promised.
struct Scan<R> {
    rows: Vec<R>,
    promised: usize,
}

/// Reads a list that promised `promised` rows before its page size was known.
///
/// # Errors
/// `Unavailable` if no two scans agree, `Unexpected` if pages contradict each other, and any error of a request.
pub(crate) async fn read<R: Row, S: ListSource<R>>(source: &S, promised: u32) -> Result<Vec<R>, ApiError> {
    let mut previous: Option<BTreeSet<Anchor>> = None;
    let mut cause = Unavailability::ListUnstable;
    for _ in 0..MAX_SCANS {
        let scan = scan_once(source).await?;
        if scan.rows.len() < scan.promised || (scan.rows.is_empty() && promised > 0) {
            cause = Unavailability::Short;
            continue;
        }
        let anchors: BTreeSet<Anchor> = scan.rows.iter().map(Anchor::of).collect();
        if previous.as_ref() == Some(&anchors) {
            return Ok(scan.rows);
        }
        previous = Some(anchors);
    }
    Err(source.error(ApiErrorKind::Unavailable(cause)))
}

async fn scan_once<R: Row, S: ListSource<R>>(source: &S) -> Result<Scan<R>, ApiError> {
    let mut rows: Vec<R> = Vec::new();
    let mut promised = 0;
    let mut previous: Vec<Anchor> = Vec::new();
    // The first page shows the size; if it is the only page, an empty one follows.
    let mut size = None;
    let mut was_short = false;
    for page in 1..=MAX_PAGES {
        let response = source
            .window(Window {
                page,
                per_page: Window::LARGEST,
            })
            .await?;
        let anchors: Vec<Anchor> = response.rows.iter().map(Anchor::of).collect();
        if !anchors.is_empty() && anchors == previous {
            return Err(source.error(ApiErrorKind::Unexpected(
                "the same page at two offsets of a list".to_owned(),
            )));
        }
        let size = *size.get_or_insert(response.rows.len());
        if response.rows.len() > size || (was_short && !response.rows.is_empty()) {
            return Err(source.error(ApiErrorKind::Unexpected(
                "pages of several sizes in one list".to_owned(),
            )));
        }
        was_short = response.rows.len() < size;
        let more = response.link.has_more_after(page);
        let end = response.rows.is_empty() || (response.rows.len() < size && !more);
        promised = promised.max(response.link.promised_rows(u32::try_from(size).unwrap_or(u32::MAX)) as usize);
        rows.extend(response.rows);
        previous = anchors;
        if end {
            return Ok(Scan { rows, promised });
        }
    }
    Err(source.error(ApiErrorKind::Unexpected("a list without an end".to_owned())))
}
