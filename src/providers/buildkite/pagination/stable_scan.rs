//! Lists of servers whose pages have a size of their own: read until two passes agree.
//!
//! A row that slipped past a pass did so because another one ahead of it was deleted after it had been read; that one is in
//! this pass and not in the next, so the two do not agree. Two passes that hold the same rows missed none that stayed.
//! That holds for pages that lie next to each other: one of another size before the last is an error. A pass that ends below an
//! extent that it promised itself counts for nothing ([`super::extent`]), and one without a row is no end of a list that had any.

use std::collections::BTreeSet;

use super::{Anchor, Row, Window, Windows};
use crate::providers::buildkite::api::error::{ApiError, ApiErrorKind, Unavailability};

/// Passes that are made at most.
const PASSES: usize = 3;

/// Pages of one pass at most: far above the largest organization, and an end to a server that never ends.
const PAGES: u32 = 10_000;

/// One pass: its rows, and the largest extent that its pages promised.
struct Pass<R> {
    rows: Vec<R>,
    promised: usize,
}

/// Reads a list that promised so many rows before its page size showed.
pub(crate) async fn read<R: Row, S: Windows<R>>(source: &S, promised: u32) -> Result<Vec<R>, ApiError> {
    let mut before: Option<BTreeSet<Anchor>> = None;
    let mut cause = Unavailability::ListUnstable;
    for _ in 0..PASSES {
        let pass = pass(source).await?;
        if pass.rows.len() < pass.promised || (pass.rows.is_empty() && promised > 0) {
            cause = Unavailability::Short;
            continue;
        }
        let anchors: BTreeSet<Anchor> = pass.rows.iter().map(Anchor::of).collect();
        if before.as_ref() == Some(&anchors) {
            return Ok(pass.rows);
        }
        before = Some(anchors);
    }
    Err(source.trouble(ApiErrorKind::Unavailable(cause)))
}

async fn pass<R: Row, S: Windows<R>>(source: &S) -> Result<Pass<R>, ApiError> {
    let mut rows: Vec<R> = Vec::new();
    let mut promised = 0;
    let mut last: Vec<Anchor> = Vec::new();
    // The first page shows the size; where it is the only one, an empty one follows.
    let mut size = None;
    let mut was_short = false;
    for page in 1..=PAGES {
        let answer = source
            .window(Window {
                page,
                per_page: Window::LARGEST,
            })
            .await?;
        let anchors: Vec<Anchor> = answer.rows.iter().map(Anchor::of).collect();
        if !anchors.is_empty() && anchors == last {
            return Err(source.trouble(ApiErrorKind::Unexpected(
                "the same page at two offsets of a list".to_owned(),
            )));
        }
        let size = *size.get_or_insert(answer.rows.len());
        if answer.rows.len() > size || (was_short && !answer.rows.is_empty()) {
            return Err(source.trouble(ApiErrorKind::Unexpected(
                "pages of several sizes in one list".to_owned(),
            )));
        }
        was_short = answer.rows.len() < size;
        let more = answer.link.names_more_than(page);
        let end = answer.rows.is_empty() || (answer.rows.len() < size && !more);
        promised = promised.max(answer.link.promised_rows(u32::try_from(size).unwrap_or(u32::MAX)) as usize);
        rows.extend(answer.rows);
        last = anchors;
        if end {
            return Ok(Pass { rows, promised });
        }
    }
    Err(source.trouble(ApiErrorKind::Unexpected("a list without an end".to_owned())))
}
