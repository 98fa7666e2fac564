//! The page sizes: how many rows are requested from Buildkite at once, and how many are read for a page of our own.
//!
//! A request names at most [`Window::LARGEST`] rows as `per_page`: the first window of a list has that size, and each later one the
//! size that reaches furthest and still overlaps its predecessor ([`Window::next_overlapping`]). A reader that finds that the
//! server returns smaller pages (`overlap`) requests no more than those.

use std::num::NonZeroUsize;

use super::Window;

impl Window {
    /// The page size requested from Buildkite: the largest that it returns.
    pub const LARGEST: u32 = 100;
    /// The page size of Buildkite if `per_page` is absent or ignored. It is never requested.
    pub const DEFAULT: u32 = 30;
}

/// Approximate number of rows that are read for a page of our own whose size the client does not request.
pub const DEFAULT_BATCH_ROWS: usize = 500;

/// Number of rows to read for a page of at most `limit` rows when the excess is not kept: as many windows as
/// certainly fit.
#[must_use]
pub fn min_rows_for(limit: Option<NonZeroUsize>) -> usize {
    limit.map_or(DEFAULT_BATCH_ROWS, |limit| {
        limit.get().saturating_sub(Window::LARGEST as usize - 1).max(1)
    })
}
