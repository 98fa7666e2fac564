//! The `Link` header, of which only page numbers are used. Its URLs are never followed, logged or stored, because
//! they may name another host and may hold a key (reference, section 3.1).

use http::{HeaderMap, header};
use url::Url;

/// The pages that a `Link` header names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Link {
    /// The header is present and names at least one page.
    pub present: bool,
    /// It names a next page.
    pub next: bool,
    /// The number of the last page, if named.
    pub last: Option<u32>,
}

impl Link {
    /// Parses the header; malformed entries are ignored.
    #[must_use]
    pub fn parse(headers: &HeaderMap) -> Self {
        let mut link = Self::default();
        for value in headers
            .get_all(header::LINK)
            .iter()
            .filter_map(|value| value.to_str().ok())
        {
            for (target, parameters) in entries(value) {
                link.present = true;
                for relation in relations(parameters) {
                    match relation {
                        "next" => link.next = true,
                        "last" => link.last = page(target).or(link.last),
                        _ => {}
                    }
                }
            }
        }
        link
    }

    /// Whether it names a page after `page`.
    #[must_use]
    pub fn has_more_after(self, page: u32) -> bool {
        self.next || self.last.is_some_and(|last| last > page)
    }

    /// Minimum length of the list for pages of `size` rows: all pages before the last, and one row.
    #[must_use]
    pub fn min_total_rows(self, page: u32, size: u32) -> u32 {
        let full = self
            .last
            .unwrap_or(page)
            .max(page + u32::from(self.next))
            .saturating_sub(1);
        full.saturating_mul(size).saturating_add(1)
    }

    /// The length that its last page promises for pages of `size` rows: all pages before it, and one row.
    #[must_use]
    pub fn promised_rows(self, size: u32) -> u32 {
        let last = self.last.filter(|last| *last > 1);
        last.map_or(0, |last| (last - 1).saturating_mul(size).saturating_add(1))
    }

    /// Whether it names `page` as the last page.
    #[must_use]
    pub fn is_last(self, page: u32) -> bool {
        !self.next && self.last == Some(page)
    }
}

/// The URL of the next page. It is not to be followed, only to be searched for a cursor.
pub(crate) fn next_page_url(headers: &HeaderMap) -> Option<Url> {
    let values = headers.get_all(header::LINK).iter();
    let mut targets = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(entries)
        .filter(|(_, parameters)| relations(parameters).any(|relation| relation == "next"));
    targets.find_map(|(target, _)| Url::parse(target).ok())
}

/// Each `<target>` with its parameters. Commas within a target or a quoted parameter do not separate entries.
fn entries(header: &str) -> impl Iterator<Item = (&str, &str)> {
    header.split('<').skip(1).filter_map(|entry| entry.split_once('>'))
}

/// The relation types of one entry: `rel="next"`, `rel=next`, or several in one quoted list.
fn relations(parameters: &str) -> impl Iterator<Item = &str> {
    parameters
        .split([';', ','])
        .filter_map(|parameter| parameter.split_once('='))
        .filter(|(name, _)| name.trim().eq_ignore_ascii_case("rel"))
        .flat_map(|(_, value)| value.trim().trim_matches('"').split_ascii_whitespace())
}

fn page(target: &str) -> Option<u32> {
    let url = Url::parse(target).ok()?;
    url.query_pairs()
        .find(|(name, _)| name == "page")
        .and_then(|(_, value)| value.parse().ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn link(value: &str) -> Link {
        Link::parse(&HeaderMap::from_iter([(header::LINK, value.parse().unwrap())]))
    }

    #[rstest]
    #[case(
        r#"<https://api.buildkite.com/v2/x?page=2>; rel="next", <https://api.buildkite.com/v2/x?page=9>; rel="last""#,
        true,
        Some(9)
    )]
    #[case(r#"<https://a.b/x?api_key=a,b&page=3>;rel=next;title="a, b""#, true, None)]
    #[case(
        r#"<https://a.b/x?page=1>; rel="first prev", <https://a.b/x?per_page=5&page=4>; REL="last""#,
        false,
        Some(4)
    )]
    #[case("<not a url>; rel=last", false, None)]
    #[case("garbage", false, None)]
    #[case("<https://a.b/x?page=99999999999>; rel=\"last\"", false, None)]
    fn relations_and_page_numbers_are_parsed(#[case] value: &str, #[case] next: bool, #[case] last: Option<u32>) {
        let parsed = link(value);
        assert_eq!((parsed.next, parsed.last), (next, last));
        assert_eq!(parsed.present, value.starts_with('<'));
    }

    #[test]
    fn a_missing_header_names_no_page() {
        assert_eq!(Link::parse(&HeaderMap::new()), Link::default());
    }

    proptest! {
        #[test]
        fn no_header_makes_the_parser_panic(value in "[ -~]{0,200}") {
            let _ = link(&value);
        }

        #[test]
        fn a_next_page_is_found_after_any_target(target in "[ -;=?-~]{0,60}") {
            if let Ok(value) = format!("<{target}>; rel=\"next\"").parse() {
                prop_assert!(Link::parse(&HeaderMap::from_iter([(header::LINK, value)])).next);
            }
        }
    }
}
