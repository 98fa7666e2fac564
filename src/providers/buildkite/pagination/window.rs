//! Windows of a list and their offsets.

/// One window as `page` and `per_page` address it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Window {
    /// The page number, from 1.
    pub page: u32,
    /// The number of rows requested.
    pub per_page: u32,
}

impl Window {
    /// The number of rows before the window.
    #[must_use]
    pub fn offset(self) -> u32 {
        (self.page - 1) * self.per_page
    }

    /// The number of rows before the end of the window, if it is full.
    pub(crate) fn end(self) -> u32 {
        self.offset() + self.per_page
    }

    /// The window that reaches furthest among those that begin at least one row before `covered` and have at most
    /// `largest` rows; `None` if no such window reaches beyond `covered`. With nothing covered, the first `largest`
    /// rows.
    #[must_use]
    pub fn next_overlapping(covered: u32, largest: u32) -> Option<Self> {
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
        assert_eq!(
            Window::next_overlapping(0, 100),
            Some(Window { page: 1, per_page: 100 })
        );
        assert_eq!(
            Window::next_overlapping(100, 100),
            Some(Window { page: 2, per_page: 99 })
        );
    }

    #[test]
    fn overlap_costs_about_one_request_in_seven_on_long_lists() {
        let mut covered = 0;
        let mut windows = 0;
        while covered < 50_000 {
            covered = Window::next_overlapping(covered, 100).unwrap().end();
            windows += 1;
        }
        assert!(windows <= 500 * 8 / 7, "{windows} windows for 500 pages");
    }

    proptest! {
        #[test]
        fn every_window_overlaps_what_is_covered_and_reaches_beyond(covered in 1u32..1_000_000, largest in 2u32..=100) {
            let window = Window::next_overlapping(covered, largest);
            if let Some(window) = window {
                prop_assert!(window.offset() < covered && window.end() > covered && window.per_page <= largest);
            } else {
                // With pages of at most n rows, some offset just below `covered` has no divisor that reaches past it.
                prop_assert!((2..=largest).all(|size| ((covered - 1) / size + 1) * size <= covered));
            }
        }
    }
}
