//! Where windows lie.

/// One window, as `page` and `per_page` address it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Window {
    /// Counted from 1.
    pub page: u32,
    /// Rows asked for.
    pub per_page: u32,
}

impl Window {
    /// The most rows that Buildkite gives in one answer.
    pub const LARGEST: u32 = 100;
    /// The rows that Buildkite gives where `per_page` is not said, or not heard.
    pub const DEFAULT: u32 = 30;

    /// Rows before the window.
    #[must_use]
    pub fn offset(self) -> u32 {
        (self.page - 1) * self.per_page
    }

    /// Rows before the window's end, if it is full.
    pub(crate) fn end(self) -> u32 {
        self.offset() + self.per_page
    }

    /// The window that reaches furthest among those that begin at least one row before `covered`, with at most `largest`
    /// rows; none where no such window reaches beyond. With nothing covered, the first `largest` rows.
    #[must_use]
    pub fn furthest(covered: u32, largest: u32) -> Option<Self> {
        let Some(latest_offset) = covered.checked_sub(1) else {
            return Some(Self {
                page: 1,
                per_page: largest,
            });
        };
        (1..=largest)
            .map(|per_page| Self {
                page: latest_offset / per_page + 1,
                per_page,
            })
            .max_by_key(|window| window.end())
            .filter(|window| window.end() > covered)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_list_begins_with_the_largest_page() {
        assert_eq!(Window::furthest(0, 100), Some(Window { page: 1, per_page: 100 }));
        assert_eq!(Window::furthest(100, 100), Some(Window { page: 2, per_page: 99 }));
    }

    #[test]
    fn overlap_costs_about_one_request_in_seven_on_long_lists() {
        let mut covered = 0;
        let mut windows = 0;
        while covered < 50_000 {
            covered = Window::furthest(covered, 100).unwrap().end();
            windows += 1;
        }
        assert!(windows <= 500 * 8 / 7, "{windows} windows for 500 pages");
    }

    proptest! {
        #[test]
        fn every_window_overlaps_what_is_covered_and_reaches_beyond(covered in 1u32..1_000_000, largest in 2u32..=100) {
            let window = Window::furthest(covered, largest);
            if let Some(window) = window {
                prop_assert!(window.offset() < covered && window.end() > covered && window.per_page <= largest);
            } else {
                // With pages of at most n rows, some offset just below `covered` has no divisor that reaches past it.
                prop_assert!((2..=largest).all(|size| ((covered - 1) / size + 1) * size <= covered));
            }
        }
    }
}
