//! Windows whose rows and whose `Link` or size contradict each other: one more window tells which of the two is wrong.

use super::anchored_page::Recognised;
use super::overlap::{Reader, Step};
use super::{Row, Window, Windows};
use crate::providers::buildkite::api::error::ApiError;

impl<'s, R: Row + 's, S: Windows<R>> Reader<'s, R, S> {
    /// A window that brought nothing new and is short, and yet a next page is named: the next page tells which is wrong.
    pub(crate) async fn end_against_link(&mut self, window: Window) -> Result<Step<R>, ApiError> {
        let next = Window {
            page: window.page + 1,
            ..window
        };
        let behind = Recognised::from(self.ahead.beside(next).await?);
        if self.holds_news(&behind) {
            return Err(self.unexpected("a short page of a list that goes on"));
        }
        Ok(Step::End)
    }

    /// No rows, and yet a next page is named: the next page tells which of the two is wrong.
    pub(crate) async fn empty_but_linked(&mut self, answer: &Recognised<R>) -> Result<Step<R>, ApiError> {
        let next = self
            .ahead
            .beside(Window {
                page: 2,
                per_page: self.largest,
            })
            .await?;
        if next.rows.is_empty() {
            // One row at least is promised by a next page, unless the same answer says that the first page is the last.
            let promised = answer.link.last != Some(1);
            (self.covered, self.promised) = (0, self.promised.max(u32::from(promised)));
            return Ok(Step::End);
        }
        Err(self.unexpected("an empty first page of a list that goes on"))
    }

    /// More rows than were asked for: `per_page` is not heard, and whether `page` is must be found out.
    pub(crate) async fn oversized(&mut self, answer: Recognised<R>, window: Window) -> Result<Step<R>, ApiError> {
        let first = window.offset() == 0;
        if first && !answer.link.names_more_than(window.page) {
            return Ok(Step::Whole(answer.rows));
        }
        let probe = if first {
            self.keep(answer);
            Window {
                page: 2,
                per_page: Window::LARGEST,
            }
        } else if answer.starts_like(&self.last) {
            Window {
                page: 1,
                per_page: (window.per_page / 2).max(1),
            }
        } else {
            return Ok(Step::FixedSize);
        };
        let again = Recognised::from(self.ahead.beside(probe).await?);
        let unpaged = again.rows.len() > probe.per_page as usize && again.starts_like(&self.last);
        match (unpaged, first) {
            (true, _) => Ok(Step::Whole(again.rows)),
            (false, true) => Ok(Step::FixedSize),
            (false, false) => Err(self.unexpected("the same page at two offsets of a list")),
        }
    }
}
