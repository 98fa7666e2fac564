//! Windows whose rows contradict their `Link` header or their size: one more request decides which to trust.

use super::anchored_page::AnchoredPage;
use super::overlap::{OverlapReader, Step};
use super::{ListSource, Row, Window};
use crate::providers::buildkite::api::error::ApiError;

impl<'s, R: Row + 's, S: ListSource<R>> OverlapReader<'s, R, S> {
    /// The page is short and has no new rows, but `Link` names a next page. Fetch that page to decide which to trust.
    pub(crate) async fn end_against_link(&mut self, window: Window) -> Result<Step<R>, ApiError> {
        let next = Window {
            page: window.page + 1,
            ..window
        };
        let following = AnchoredPage::from(self.prefetch.fetch_alongside(next).await?);
        if self.has_new_rows(&following) {
            return Err(self.unexpected("a short page of a list that continues"));
        }
        Ok(Step::End)
    }

    /// The page is empty, but `Link` names a next page. Fetch that page to decide which to trust.
    pub(crate) async fn empty_but_linked(&mut self, page: &AnchoredPage<R>) -> Result<Step<R>, ApiError> {
        let next = self
            .prefetch
            .fetch_alongside(Window {
                page: 2,
                per_page: self.largest,
            })
            .await?;
        if next.rows.is_empty() {
            // A next page promises at least one row, unless the same `Link` names the first page as the last.
            let promised = page.link.last != Some(1);
            (self.covered, self.promised) = (0, self.promised.max(u32::from(promised)));
            return Ok(Step::End);
        }
        Err(self.unexpected("an empty first page of a list that continues"))
    }

    /// The page has more rows than requested: the server ignores `per_page`. One more request decides whether it
    /// ignores `page` too.
    pub(crate) async fn oversized(&mut self, page: AnchoredPage<R>, window: Window) -> Result<Step<R>, ApiError> {
        let first = window.offset() == 0;
        if first && !page.link.has_more_after(window.page) {
            return Ok(Step::Unpaged(page.rows));
        }
        let probe = if first {
            self.keep(page);
            Window {
                page: 2,
                per_page: Window::LARGEST,
            }
        } else if page.repeats_previous(&self.previous) {
            Window {
                page: 1,
                per_page: (window.per_page / 2).max(1),
            }
        } else {
            return Ok(Step::FixedSize);
        };
        let retried = AnchoredPage::from(self.prefetch.fetch_alongside(probe).await?);
        let unpaged = retried.rows.len() > probe.per_page as usize && retried.repeats_previous(&self.previous);
        match (unpaged, first) {
            (true, _) => Ok(Step::Unpaged(retried.rows)),
            (false, true) => Ok(Step::FixedSize),
            (false, false) => Err(self.unexpected("the same page at two offsets of a list")),
        }
    }
}
