//! Lists that end before the extent that they promised: the whole truth or an error, and never fewer rows.

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
fn windows_that_are_empty_from_some_answer_on_are_an_error(
    #[values(1, 2, 3, 5)] from: usize,
    #[values(true, false)] linked: bool,
    #[values(Linking::WithLast, Linking::Right, Linking::Never)] linking: Linking,
    #[values(100, 250, 10_000)] enough: usize,
) {
    let lie = Lie {
        from,
        times: usize::MAX - from,
        behind: 0,
        rows: 0,
        linked,
    };
    let (read, _) = read_all(lying(linking, lie), enough);
    // No row and no Link at all, from the first answer on, is what a list without rows is.
    let is_empty_list = from == 1 && (!linked || linking == Linking::Never);
    match read {
        Ok(rows) => assert!(is_empty_list && rows.is_empty(), "{} rows are believed", rows.len()),
        Err(error) => assert!(is_unavailable(&error), "{error}"),
    }
}

#[rstest::rstest]
fn a_later_page_that_is_short_and_without_a_link_is_an_error_or_healed(
    #[values(100, 200, 300)] behind: u32,
    // With 17 rows the last window keeps the promise of 401: nobody can tell that more are missing.
    #[values(0, 1, 16)] rows: usize,
    #[values(1, 2, 3, 4, 400)] times: usize,
    #[values(1, 16)] together: usize,
    #[values(100, 250, 10_000)] enough: usize,
    #[values(None, Some(60), Some(250))] limit: Option<usize>,
) {
    // Counted in answers: the lie lasts for so many of them, whichever windows they are.
    let lie = Lie {
        from: 3,
        times,
        behind,
        rows,
        linked: false,
    };
    let enough = limit.map_or(enough, |limit| batch::enough_for(std::num::NonZeroUsize::new(limit)));
    let (read, server) = read_limited(lying(Linking::WithLast, lie), together, enough, limit);
    match read {
        Ok(rows) => assert!(ids(&rows) == ids(&server.rows), "{} rows are believed", rows.len()),
        Err(error) => assert!(times > 1 && is_unavailable(&error), "{error}"),
    }
}

#[test]
fn what_was_handed_out_is_not_handed_out_again_after_a_list_was_read_again() {
    // The last window is short and without a Link, twice, so that the list is read again when most of it was handed out.
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
        server.asked > 8,
        "{} requests: the list was not read again",
        server.asked
    );
}

#[test]
fn a_list_that_really_became_shorter_is_read_again_and_believed() {
    for (gone, enough) in [(60, 10_000), (200, 10_000), (60, 100)] {
        let edits = vec![Edit::DeleteMany(380 - gone, gone), Edit::Nothing, Edit::Nothing];
        let server = Server {
            edits,
            ..Server::new(410, Paging::Honoured, Linking::WithLast)
        };
        let (read, server) = read_all(server, enough);
        let (read, truth) = (ids(&read.unwrap()), ids(&server.rows));
        assert!(truth.is_subset(&read), "{gone} gone");
        assert!(
            server.asked >= 2 * 4,
            "{} requests: the list was not read again",
            server.asked
        );
    }
}

#[test]
fn a_list_that_shrinks_with_every_window_is_whole_or_an_error() {
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
fn a_page_size_of_the_servers_own_does_not_hide_that_its_list_is_short() {
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
fn a_token_of_an_older_release_is_gone_on_from() {
    let token = r#"{"Behind":{"covered":100,"largest":100,"anchors":[],"known":101}}"#;
    let position: Cursor = serde_json::from_str(token).unwrap();
    assert!(position.is_plausible());
    let oldest = r#"{"Behind":{"covered":100,"largest":100,"anchors":[]}}"#;
    let position: Cursor = serde_json::from_str(oldest).unwrap();
    assert!(position.is_plausible());
    let _ = position;
}
