//! Pages of any size: none is larger than its limit, no row is missing, and none is repeated while the list does not
//! change.

use super::*;
use crate::providers::buildkite::pagination::min_rows_for;
use server::read_limited;

/// The rows of a list that is returned in pages of `limit` rows, with the rest kept between pages or not, and the
/// number of requests.
fn read_in_pages(server: Server, limit: usize, keeps: bool) -> (Vec<Entry>, usize) {
    let min_rows = if keeps {
        1_500
    } else {
        min_rows_for(std::num::NonZeroUsize::new(limit))
    };
    let (rows, server) = read_limited(server, 4, min_rows, Some(limit));
    (rows.unwrap(), server.requests)
}

#[rstest::rstest]
fn an_unchanged_list_is_returned_in_pages_of_any_size_without_repeats(
    #[values(Paging::Honoured, Paging::BothIgnored, Paging::PerPageIgnored, Paging::CappedAt(40))] paging: Paging,
    #[values(true, false)] dated: bool,
    #[values(true, false)] keeps: bool,
) {
    for rows in [1, 37, 100, 101, 350] {
        for limit in [1, 2, 7, 50, 99, 100, 101, 198, 250] {
            // Row by row and without a kept rest, a list that has to be read completely each time takes long.
            if limit < 7 && !keeps && rows > 101 {
                continue;
            }
            let mut server = Server::new(rows, paging, Linking::WithLast);
            server.rows.iter_mut().for_each(|row| row.dated = dated);
            let truth = server.rows.clone();
            let (read, _) = read_in_pages(server, limit, keeps);
            assert_eq!(read.len(), truth.len(), "{rows} rows in pages of {limit}");
            assert!(ids(&read) == ids(&truth), "{rows} rows in pages of {limit}");
        }
    }
}

#[test]
fn small_pages_of_kept_rows_cost_no_extra_request() {
    for limit in [1, 30, 100, 250] {
        let server = || Server::new(1_000, Paging::Honoured, Linking::WithLast);
        let (_, requests) = read_in_pages(server(), limit, true);
        let (_, whole) = read_all(server(), 1_500);
        assert_eq!(requests, whole.requests, "pages of {limit}");
    }
}

#[test]
fn pages_that_hold_a_window_cost_no_extra_request_even_if_nothing_is_kept() {
    for limit in [100, 150, 200, 250] {
        let server = || Server::new(1_000, Paging::Honoured, Linking::WithLast);
        let (_, requests) = read_in_pages(server(), limit, false);
        let (_, whole) = read_all(server(), 1_500);
        assert_eq!(requests, whole.requests, "pages of {limit}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn no_row_that_stayed_is_missing_from_small_pages(
        rows in 0usize..400, linking in linking(), dated in any::<bool>(), edits in edits(),
        limit in 1usize..=250, keeps in any::<bool>(),
    ) {
        prop_assume!(limit > 6 || keeps);
        let comes_again = |edit: &Edit| matches!(edit, Edit::ReAdd(_) | Edit::DeleteManyAndReAdd(_));
        let edits = edits.into_iter().filter(|edit| dated || !comes_again(edit)).collect();
        let mut server = Server { dated, edits, ..Server::new(rows, Paging::Honoured, linking) };
        server.rows.iter_mut().for_each(|row| row.dated = dated);
        let before = server.rows.clone();
        let min_rows = if keeps { 1_500 } else { min_rows_for(std::num::NonZeroUsize::new(limit)) };
        let (read, server) = read_limited(server, 4, min_rows, Some(limit));
        if let Ok(read) = read {
            let stayed: Vec<Entry> = before.into_iter().filter(|row| server.rows.contains(row)).collect();
            let missing = ids(&stayed).difference(&ids(&read)).count();
            prop_assert!(missing == 0, "{missing} of {} rows that stayed are missing", stayed.len());
        }
    }
}
