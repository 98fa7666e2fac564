//! Lists that end below their promised length: the complete list or an error, never fewer rows.

use super::*;
use crate::providers::buildkite::api::error::{ApiErrorKind, Unavailability};
use server::{Lie, read_limited};

const ROWS: usize = 450;

fn lying(linking: Linking, lie: Lie) -> Server {
    Server {
        lie: Some(lie),
        ..Server::new(ROWS, Paging::Honoured, linking)
    }
}

fn is_unavailable(error: &ApiError) -> bool {
    matches!(error.kind, ApiErrorKind::Unavailable(_))
}

#[rstest::rstest]
fn windows_that_are_empty_from_some_response_on_are_an_error(
    #[values(1, 2, 3, 5)] from: usize,
    #[values(true, false)] linked: bool,
    #[values(Linking::WithLast, Linking::Right, Linking::Never)] linking: Linking,
    #[values(100, 250, 10_000)] min_rows: usize,
) {
    let lie = Lie {
        from,
        times: usize::MAX - from,
        behind: 0,
        rows: 0,
        linked,
    };
    let (read, _) = read_all(lying(linking, lie), min_rows);
    // No rows and no `Link` from the first response on: the list is empty.
    let is_empty_list = from == 1 && (!linked || linking == Linking::Never);
    match read {
        Ok(rows) => assert!(is_empty_list && rows.is_empty(), "{} rows were accepted", rows.len()),
        Err(error) => assert!(is_unavailable(&error), "{error}"),
    }
}

#[rstest::rstest]
fn a_later_short_page_without_a_link_is_an_error_or_recovered(
    #[values(100, 200, 300)] behind: u32,
    // With 17 rows the last window keeps the promise of 401 rows, so the loss cannot be detected.
    #[values(0, 1, 16)] rows: usize,
    #[values(1, 2, 3, 4, 400)] times: usize,
    #[values(1, 16)] together: usize,
    #[values(100, 250, 10_000)] min_rows: usize,
    #[values(None, Some(60), Some(250))] limit: Option<usize>,
) {
    // Counted in responses, whichever windows they are for.
    let lie = Lie {
        from: 3,
        times,
        behind,
        rows,
        linked: false,
    };
    let min_rows = limit.map_or(min_rows, |limit| min_rows_for(std::num::NonZeroUsize::new(limit)));
    let (read, server) = read_limited(lying(Linking::WithLast, lie), together, min_rows, limit);
    match read {
        Ok(rows) => assert!(ids(&rows) == ids(&server.rows), "{} rows were accepted", rows.len()),
        Err(error) => assert!(times > 1 && is_unavailable(&error), "{error}"),
    }
}

#[test]
fn rows_already_returned_are_not_returned_again_after_a_list_was_reread() {
    // The last window is short and has no `Link`, twice, so that the list is read again after most of it was
    // returned.
    let lie = Lie {
        from: 5,
        times: 2,
        behind: 350,
        rows: 10,
        linked: false,
    };
    let (read, server) = read_limited(lying(Linking::WithLast, lie), 1, 1, Some(100));
    let read = read.unwrap();
    assert_eq!((read.len(), ids(&read).len()), (ROWS, server.rows.len()));
    assert!(
        server.requests > 8,
        "{} requests: the list was not read again",
        server.requests
    );
}

#[test]
fn a_list_that_really_shrank_is_reread_and_accepted() {
    for (gone, min_rows) in [(60, 10_000), (200, 10_000), (60, 100)] {
        let edits = vec![Edit::DeleteMany(380 - gone, gone), Edit::Nothing, Edit::Nothing];
        let server = Server {
            edits,
            ..Server::new(410, Paging::Honoured, Linking::WithLast)
        };
        let (read, server) = read_all(server, min_rows);
        let (read, truth) = (ids(&read.unwrap()), ids(&server.rows));
        assert!(truth.is_subset(&read), "{gone} gone");
        assert!(
            server.requests >= 2 * 4,
            "{} requests: the list was not read again",
            server.requests
        );
    }
}

#[test]
fn a_list_that_shrinks_with_every_window_is_complete_or_an_error() {
    let edits = vec![Edit::DeleteMany(0, 5); 30];
    let server = Server {
        edits,
        ..Server::new(401, Paging::Honoured, Linking::WithLast)
    };
    let (read, server) = read_all(server, 10_000);
    match read {
        Ok(rows) => assert!(ids(&server.rows).is_subset(&ids(&rows))),
        Err(error) => assert_eq!(error.kind, ApiErrorKind::Unavailable(Unavailability::Short)),
    }
}

#[test]
fn a_fixed_page_size_does_not_hide_a_short_list() {
    for linked in [true, false] {
        let lie = Lie {
            from: 4,
            times: usize::MAX - 4,
            behind: 250,
            rows: 3,
            linked,
        };
        let server = Server {
            lie: Some(lie),
            ..Server::new(ROWS, Paging::PerPageIgnored, Linking::WithLast)
        };
        let (read, _) = read_all(server, 10_000);
        assert!(read.is_err(), "{} rows", read.unwrap().len());
    }
}

#[test]
fn a_token_of_an_older_release_is_accepted() {
    let token = r#"{"Behind":{"covered":100,"largest":100,"anchors":[],"known":101}}"#;
    let cursor: Cursor = serde_json::from_str(token).unwrap();
    assert!(cursor.is_plausible());
    let oldest = r#"{"Behind":{"covered":100,"largest":100,"anchors":[]}}"#;
    let cursor: Cursor = serde_json::from_str(oldest).unwrap();
    assert!(cursor.is_plausible());
}
