//! How the access that principals carry is read, by a provider that responds at once. The time is paused.

mod provider;
mod syncs;

use super::*;
use crate::governance::model::examples::{self, GROUP, OBJECT};
use crate::governance::provider::FailureClass;
use crate::governance::sync::session::SESSION_IDLE_TIMEOUT;
use provider::{LATENCY, Server, failure, rate_limited};
use syncs::{CONCURRENCY, MAX_AGE, MAX_WAIT, ONLY_PAGE, Syncs, call};

const ALL_GROUPS: [u128; 9] = [1, 2, 3, 4, 5, 6, 7, 8, 9];

#[tokio::test(start_paused = true)]
async fn the_list_of_every_principal_is_read_once_in_a_sync_before_the_first_request() {
    let server = Server::new();
    let syncs = Syncs::new(&server);
    syncs.list("one");
    tokio::time::sleep(LATENCY * 5).await;
    assert_eq!(server.reads(), ALL_GROUPS);
    assert_eq!(syncs.holders("one", 1).await, Ok(vec![3, 6, 9]));
    assert_eq!(syncs.holders("one", 2).await, Ok(vec![1, 4, 7]));
    assert_eq!(syncs.holders("one", 3).await, Ok(vec![2, 5, 8, 9]));
    assert_eq!(server.reads(), ALL_GROUPS);
    assert_eq!(server.with(|state| state.peak_in_flight), CONCURRENCY);
    assert_eq!(server.with(|state| state.groups_listed), 0);
}

#[tokio::test(start_paused = true)]
async fn all_calls_wait_for_one_reading() {
    let server = Server::new();
    let syncs = Syncs::new(&server);
    syncs.list("one");
    let all = futures::future::join_all((1..=3).map(|object| syncs.holders("one", object))).await;
    assert_eq!(all, [Ok(vec![3, 6, 9]), Ok(vec![1, 4, 7]), Ok(vec![2, 5, 8, 9])]);
    assert_eq!(server.reads(), ALL_GROUPS);
}

#[tokio::test(start_paused = true)]
async fn every_sync_reads_for_itself() {
    let server = Server::new();
    let syncs = Syncs::new(&server);
    syncs.list("one");
    syncs.holders("one", 1).await.unwrap();
    server.with(|state| state.rows.insert((1, 1)));
    syncs.list("other");
    assert_eq!(syncs.holders("other", 1).await, Ok(vec![1, 3, 6, 9]));
    assert_eq!(syncs.holders("one", 1).await, Ok(vec![3, 6, 9]));
    assert_eq!(server.reads().len(), 18);
}

#[tokio::test(start_paused = true)]
async fn a_request_outside_of_the_sync_uses_its_index_up_to_the_maximum_age() {
    let server = Server::new();
    let syncs = Syncs::new(&server);
    syncs.list("one");
    syncs.holders("one", 1).await.unwrap();
    syncs.sessions.end("one");
    tokio::time::sleep(MAX_AGE / 2).await;
    for sync in ["targeted", ""] {
        assert_eq!(syncs.holders(sync, 1).await, Ok(vec![3, 6, 9]));
    }
    assert_eq!(server.reads(), ALL_GROUPS);
    tokio::time::sleep(MAX_AGE).await;
    server.with(|state| state.rows.insert((1, 1)));
    for sync in ["later", "", "another"] {
        assert_eq!(syncs.holders(sync, 1).await, Ok(vec![1, 3, 6, 9]), "{sync}");
    }
    assert_eq!(server.reads().len(), 18);
    assert_eq!(server.with(|state| state.groups_listed), 1);
}

#[tokio::test(start_paused = true)]
async fn an_index_is_freed_at_its_maximum_age_and_with_its_sync() {
    let server = Server::new();
    let syncs = Syncs::new(&server);
    let alive = || syncs.access.readers.readings().len();
    syncs.list("one");
    syncs.holders("one", 1).await.unwrap();
    syncs.sessions.end("one");
    assert_eq!(alive(), 1);
    tokio::time::sleep(MAX_AGE + LATENCY).await;
    assert_eq!(alive(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_sync_ends_a_reading_that_no_call_waits_for() {
    let server = Server::new();
    let syncs = Syncs::new(&server);
    syncs.list("one");
    tokio::time::sleep(LATENCY / 2).await;
    syncs.sessions.end("one");
    tokio::time::sleep(LATENCY * 20).await;
    assert_eq!(server.reads(), []);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_does_not_know_the_sync_lists_the_principals_once() {
    let server = Server::new();
    let syncs = Syncs::new(&server);
    assert_eq!(syncs.holders("resumed", 1).await, Ok(vec![3, 6, 9]));
    assert_eq!(syncs.holders("resumed", 2).await, Ok(vec![1, 4, 7]));
    assert_eq!(server.with(|state| state.groups_listed), 1);
    assert_eq!(server.reads(), ALL_GROUPS);
}

#[tokio::test(start_paused = true)]
async fn principals_that_a_sync_lists_again_are_read_in_addition() {
    let server = Server::new();
    let syncs = Syncs::new(&server);
    syncs.list("one");
    syncs.holders("one", 1).await.unwrap();
    server.with(|state| state.rows.insert((10, 1)));
    let session = syncs.sessions.session("one");
    let ids = (1..=10).map(Uuid::from_u128);
    session.update_observed(|observed| observed.record_resources(&GROUP, ONLY_PAGE, ids));
    syncs.access.start(session, &GROUP);
    assert_eq!(syncs.holders("one", 1).await, Ok(vec![3, 6, 9, 10]));
    assert_eq!(server.reads(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_fails_the_listing_and_the_next_call_reads_only_what_is_missing() {
    let server = Server::new();
    server.fail(9, failure(FailureClass::Forbidden));
    let syncs = Syncs::new(&server);
    syncs.list("one");
    let error = syncs.holders("one", 1).await.unwrap_err();
    assert_eq!(error, failure(FailureClass::Forbidden).error);
    assert_eq!(syncs.holders("one", 1).await, Ok(vec![3, 6, 9]));
    assert_eq!(server.reads(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 9]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_before_a_call_does_not_fail_it() {
    let server = Server::new();
    for group in ALL_GROUPS {
        server.fail(group, failure(FailureClass::Unavailable));
    }
    let syncs = Syncs::new(&server);
    syncs.list("one");
    tokio::time::sleep(LATENCY * 5).await;
    let before = server.reads().len();
    assert_eq!(before, CONCURRENCY, "a list was requested after the failure");
    server.with(|state| state.failures.clear());
    assert_eq!(syncs.holders("one", 2).await, Ok(vec![1, 4, 7]));
    assert_eq!(server.reads().len(), before + ALL_GROUPS.len());
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_delays_a_reading_and_never_fails_it() {
    let server = Server::new();
    for group in 1..=4 {
        server.fail(group, rate_limited());
    }
    let syncs = Syncs::new(&server);
    syncs.list("one");
    let call = call();
    let page = syncs.page("one", 2, None, None, &call).await.unwrap();
    assert_eq!(page.rows.len(), 3);
    assert_eq!(server.reads().len(), 13);
    assert!(
        call.stats().waited >= Duration::from_secs(9),
        "{:?}",
        call.stats().waited
    );
}

#[tokio::test(start_paused = true)]
async fn a_principal_that_is_proven_gone_is_left_out() {
    let server = Server::new();
    server.with(|state| state.gone.insert(6));
    let syncs = Syncs::new(&server);
    syncs.list("one");
    assert_eq!(syncs.holders("one", 1).await, Ok(vec![3, 9]));
}

#[tokio::test(start_paused = true)]
async fn a_list_that_was_not_empty_before_is_believed_to_be_empty_at_the_second_time() {
    let server = Server::new();
    let syncs = Syncs::new(&server);
    syncs.list("one");
    syncs.holders("one", 1).await.unwrap();
    server.with(|state| state.rows.remove(&(3, 1)));
    for (sync, reads) in [("two", 10), ("three", 9)] {
        server.with(|state| state.reads.clear());
        syncs.list(sync);
        assert_eq!(syncs.holders(sync, 1).await, Ok(vec![6, 9]));
        assert_eq!(server.reads().len(), reads);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_as_long_as_the_rate_limit_permits_and_its_repetition_joins_the_reading() {
    let server = Server::new();
    for _ in 0..10 {
        server.fail(5, rate_limited());
    }
    let syncs = Syncs::new(&server);
    syncs.list("one");
    let begun = Instant::now();
    for repetition in 1..=2_u32 {
        let GovernanceError::RateLimited(limit) = syncs.holders("one", 1).await.unwrap_err() else {
            panic!("not a rate limit");
        };
        assert_eq!(begun.elapsed(), MAX_WAIT * repetition);
        assert!(limit.retry_at.is_some_and(|retry_at| retry_at > Instant::now()));
    }
    assert_eq!(syncs.holders("one", 1).await, Ok(vec![3, 6, 9]));
    assert_eq!(server.reads().len(), 9 + 10);
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_deadline_comes_before_the_reset_gets_the_exceeded_limit_at_once() {
    let server = Server::new();
    server.with(|state| state.forecast = Some(Duration::from_secs(300)));
    let syncs = Syncs::new(&server);
    syncs.list("one");
    let begun = Instant::now();
    let call = call().with_deadline(Some(begun + Duration::from_secs(30)));
    let error = syncs.page("one", 1, None, None, &call).await.unwrap_err();
    let GovernanceError::RateLimited(limit) = error else {
        panic!("{error}");
    };
    assert_eq!(limit.retry_at, Some(begun + Duration::from_secs(300)));
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_reading_is_not_idle_before_the_retry_time_of_its_client() {
    let server = Server::new();
    server.with(|state| state.forecast = Some(SESSION_IDLE_TIMEOUT * 3));
    for _ in 0..24 {
        server.fail(5, rate_limited());
    }
    let syncs = Syncs::new(&server);
    syncs.list("one");
    syncs.holders("one", 1).await.unwrap_err();
    tokio::time::sleep(SESSION_IDLE_TIMEOUT * 2).await;
    assert_eq!(syncs.holders("one", 1).await, Ok(vec![3, 6, 9]));
    assert_eq!(server.reads().len(), 9 + 24, "the reading was begun again");
}

#[tokio::test(start_paused = true)]
async fn a_reading_ends_once_its_sync_is_idle() {
    let server = Server::new();
    for _ in 0..100 {
        server.fail(5, rate_limited());
    }
    let syncs = Syncs::new(&server);
    syncs.list("one");
    tokio::time::sleep(SESSION_IDLE_TIMEOUT / 2).await;
    syncs.sessions.session("one").keep_alive();
    tokio::time::sleep(SESSION_IDLE_TIMEOUT * 3 / 4).await;
    let server = &server;
    let reads = async |pause| {
        tokio::time::sleep(pause).await;
        server.reads().len()
    };
    assert!(
        reads(Duration::ZERO).await < reads(LATENCY * 20).await,
        "the sync was not idle"
    );
    assert_eq!(reads(SESSION_IDLE_TIMEOUT).await, reads(SESSION_IDLE_TIMEOUT).await);
}

#[tokio::test(start_paused = true)]
async fn a_write_makes_the_lists_of_its_principal_be_read_again() {
    let server = Server::new();
    let syncs = Syncs::new(&server);
    syncs.list("one");
    syncs.holders("one", 1).await.unwrap();
    let granted = Membership {
        resource: examples::object(1),
        principal: examples::group(4),
    };
    server.with(|state| state.rows.insert((4, 1)));
    syncs.access.invalidate(granted);
    for sync in ["one", "targeted"] {
        assert_eq!(syncs.holders(sync, 1).await, Ok(vec![3, 4, 6, 9]));
    }
    assert_eq!(server.reads(), [1, 2, 3, 4, 4, 5, 6, 7, 8, 9]);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_was_in_flight_during_a_write_is_read_again() {
    let server = Server::new();
    let syncs = Syncs::new(&server);
    syncs.list("one");
    tokio::time::sleep(LATENCY / 2).await;
    server.with(|state| state.rows.insert((2, 1)));
    syncs.access.invalidate(Membership {
        resource: examples::object(1),
        principal: examples::group(2),
    });
    assert_eq!(syncs.holders("one", 1).await, Ok(vec![2, 3, 6, 9]));
    assert_eq!(server.reads(), [1, 2, 2, 3, 4, 5, 6, 7, 8, 9]);
}

#[tokio::test(start_paused = true)]
async fn pages_continue_in_the_order_of_ids_also_in_another_process() {
    let server = Server::new();
    let first = Syncs::new(&server);
    first.list("one");
    let second = Syncs::new(&server);
    let (mut read, mut from) = (Vec::new(), None);
    for syncs in [&first, &second].into_iter().cycle() {
        let page = syncs.page("one", 3, from, Some(1), &call()).await.unwrap();
        assert!(page.rows.len() <= 1);
        read.extend(page.rows.iter().map(|row| row.principal.id.as_u128()));
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    assert_eq!(read, [2, 5, 8, 9]);
}

#[tokio::test(start_paused = true)]
async fn a_resource_without_grants_that_no_list_shows_is_an_error() {
    let server = Server::new();
    server.with(|state| state.rows.retain(|(_, object)| *object != 2));
    let syncs = Syncs::new(&server);
    syncs.list("one");
    assert_eq!(syncs.holders("one", 2).await, Ok(vec![]), "the sync listed it");
    let error = syncs.holders("one", 7).await.unwrap_err();
    assert_eq!(error.reason(), "TEAM_NOT_FOUND");
}
