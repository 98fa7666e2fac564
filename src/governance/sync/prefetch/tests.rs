//! What is held, for how long and how much of it, on a Buildkite that answers at once.

use uuid::Uuid;

use super::*;
use crate::governance::upstream::MockUpstream;
use crate::providers::buildkite::{ListedRole, Role};

const TEAMS: u128 = 300;

/// Rows of each team: more than a thousand teams' would be far too many to hold.
const ROWS: u128 = 500;

fn team(number: u128) -> TeamId {
    Uuid::from_u128(number).into()
}

fn member(number: u128) -> TeamMember {
    TeamMember {
        user_id: Uuid::from_u128(number).into(),
        user_name: None,
        role: ListedRole::Known(Role::Member),
        created_at: None,
    }
}

fn batch<R>(rows: impl IntoIterator<Item = R>) -> Batch<R> {
    let mut batch = Batch::default();
    batch.rows.extend(rows);
    batch
}

fn team_row(number: u128) -> Team {
    serde_json::from_value(serde_json::json!({ "id": Uuid::from_u128(number) })).unwrap()
}

/// Teams of so many members each, and a list of them.
fn upstream() -> MockUpstream {
    let mut upstream = MockUpstream::new();
    upstream
        .expect_teams()
        .returning(|_, _, _| Ok(batch((0..TEAMS).map(team_row))));
    upstream
        .expect_members()
        .returning(|_, _, _, _| Ok(batch((0..ROWS).map(member))));
    upstream.expect_forecast().returning(|_, _| None);
    upstream
}

fn prefetch(upstream: MockUpstream) -> Prefetch {
    Prefetch::new(Arc::new(upstream), 16)
}

fn call() -> CallContext {
    CallContext::new(Lane::Sync)
}

/// A sync that has listed its teams and asked for the first two of them.
async fn begun(prefetch: &Prefetch, sync: &str) {
    prefetch.teams(sync, Cursor::Start, None, &call()).await.unwrap();
    for number in 0..2 {
        prefetch
            .members(sync, team(number), Cursor::Start, None, &call())
            .await
            .unwrap();
    }
    // What was begun has time to be read.
    tokio::time::sleep(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_sync_holds_is_freed_once_it_goes_quiet() {
    let prefetch = prefetch(upstream());
    begun(&prefetch, "one").await;
    assert!(prefetch.budget.count() > 0, "nothing was read ahead");
    tokio::time::sleep(SESSION_IDLE_TIMEOUT / 2).await;
    assert!(prefetch.budget.count() > 0, "a pause is no end");
    tokio::time::sleep(SESSION_IDLE_TIMEOUT).await;
    assert_eq!((prefetch.budget.count(), prefetch.lock().sessions.len()), (0, 0));
    // And it is the same sync that comes back.
    begun(&prefetch, "one").await;
    assert!(prefetch.budget.count() > 0);
}

#[tokio::test(start_paused = true)]
async fn what_a_sync_holds_is_freed_at_its_end() {
    let prefetch = prefetch(upstream());
    begun(&prefetch, "one").await;
    begun(&prefetch, "other").await;
    let both = prefetch.budget.count();
    prefetch.end("one");
    assert_eq!(prefetch.budget.count() * 2, both);
    prefetch.end("other");
    assert_eq!(prefetch.budget.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_held_is_bounded_whatever_is_asked_in_whatever_order() {
    // Neighbours, backwards, scattered, the same again and again: no order makes it hold more.
    for stride in [1, 299, 7, 0] {
        let prefetch = prefetch(upstream());
        for sync in ["one", "other"] {
            prefetch.teams(sync, Cursor::Start, None, &call()).await.unwrap();
        }
        for step in 0..TEAMS {
            for sync in ["one", "other"] {
                let asked = team(step * stride % TEAMS);
                assert_eq!(
                    prefetch
                        .members(sync, asked, Cursor::Start, None, &call())
                        .await
                        .unwrap()
                        .rows
                        .len(),
                    500
                );
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let most = RowBudget::MAX_ROWS + 16 * 500;
            assert!(
                prefetch.budget.count() < most,
                "{} rows, stride {stride}",
                prefetch.budget.count()
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_opens_syncs_without_end_holds_no_more_than_a_few() {
    let prefetch = prefetch(upstream());
    for number in 0..50 {
        begun(&prefetch, &number.to_string()).await;
        assert!(prefetch.lock().sessions.len() <= MAX_SESSIONS);
    }
    assert!(prefetch.budget.count() < RowBudget::MAX_ROWS + 16 * 500);
}

#[tokio::test(start_paused = true)]
async fn what_was_read_before_a_write_of_ours_is_read_again() {
    let mut reads = mockall::Sequence::new();
    let mut upstream = MockUpstream::new();
    upstream
        .expect_teams()
        .returning(|_, _, _| Ok(batch((0..3).map(team_row))));
    upstream.expect_forecast().returning(|_, _| None);
    // The first team; the other two, ahead; and one of them again.
    for (times, rows) in [(3, 1), (1, 2)] {
        upstream
            .expect_members()
            .times(times)
            .in_sequence(&mut reads)
            .returning(move |_, _, _, _| Ok(batch((0..rows).map(member))));
    }
    let prefetch = prefetch(upstream);
    prefetch.teams("one", Cursor::Start, None, &call()).await.unwrap();
    prefetch
        .members("one", team(0), Cursor::Start, None, &call())
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    prefetch.invalidate(team(1));
    assert_eq!(
        prefetch
            .members("one", team(1), Cursor::Start, None, &call())
            .await
            .unwrap()
            .rows
            .len(),
        2
    );
    assert_eq!(
        prefetch
            .members("one", team(2), Cursor::Start, None, &call())
            .await
            .unwrap()
            .rows
            .len(),
        1
    );
}

/// A Buildkite whose team list answers so, once.
fn listing_once(answer: impl Fn() -> Result<Batch<Team>, ApiError> + Send + 'static) -> MockUpstream {
    let mut upstream = MockUpstream::new();
    upstream.expect_teams().times(1).returning(move |_, _, _| answer());
    upstream
        .expect_members()
        .returning(|_, _, _, _| Ok(batch((0..ROWS).map(member))));
    upstream.expect_forecast().returning(|_, _| None);
    upstream
}

#[tokio::test(start_paused = true)]
async fn a_sync_that_is_met_in_its_middle_is_read_ahead_for_from_there_on_and_not_around() {
    let prefetch = prefetch(listing_once(|| Ok(batch((0..TEAMS).map(team_row)))));
    for number in (0..=20).rev() {
        prefetch
            .members("one", team(number), Cursor::Start, None, &call())
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        // The list is known when the second one is asked for.
        let left = usize::try_from(number).unwrap();
        let expected = if number == 20 { 0 } else { left * 500 };
        assert!(
            prefetch.budget.count() <= expected,
            "{} rows before {number}",
            prefetch.budget.count()
        );
        assert!(
            expected == 0 || prefetch.budget.count() > 0,
            "nothing was read ahead of {number}"
        );
    }
    assert_eq!(prefetch.budget.count(), 0, "what comes first was read elsewhere");
}

#[tokio::test(start_paused = true)]
async fn a_sync_that_is_listed_from_its_beginning_while_it_is_met_is_an_ordinary_one() {
    let prefetch = prefetch(upstream());
    prefetch
        .members("one", team(7), Cursor::Start, None, &call())
        .await
        .unwrap();
    prefetch.teams("one", Cursor::Start, None, &call()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    for number in [298, 299] {
        prefetch
            .members("one", team(number), Cursor::Start, None, &call())
            .await
            .unwrap();
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(prefetch.budget.count() > 0, "it goes around at the end of the list");
}

#[tokio::test(start_paused = true)]
async fn teams_that_cannot_be_listed_cost_one_request_and_no_answer() {
    let prefetch = prefetch(listing_once(|| {
        Err(ApiError {
            endpoint: crate::providers::buildkite::Endpoint::Teams,
            kind: crate::providers::buildkite::ApiErrorKind::Forbidden,
            message: None,
        })
    }));
    for number in 0..10 {
        let read = prefetch
            .members("one", team(number), Cursor::Start, None, &call())
            .await
            .unwrap();
        assert_eq!(read.rows.len(), 500);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_a_rate_limit_refuses_is_made_when_it_opens() {
    let mut upstream = MockUpstream::new();
    let mut order = mockall::Sequence::new();
    upstream
        .expect_teams()
        .times(1)
        .in_sequence(&mut order)
        .returning(|_, _, _| {
            Err(ApiError {
                endpoint: crate::providers::buildkite::Endpoint::Teams,
                kind: crate::providers::buildkite::ApiErrorKind::RateLimited(
                    crate::providers::buildkite::budget::LimitExceeded::unknown(),
                ),
                message: None,
            })
        });
    upstream
        .expect_teams()
        .times(1)
        .in_sequence(&mut order)
        .returning(|_, _, _| Ok(batch((0..TEAMS).map(team_row))));
    upstream
        .expect_members()
        .returning(|_, _, _, _| Ok(batch((0..ROWS).map(member))));
    upstream.expect_forecast().returning(|_, _| None);
    let prefetch = prefetch(upstream);
    prefetch
        .members("one", team(20), Cursor::Start, None, &call())
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    prefetch
        .members("one", team(21), Cursor::Start, None, &call())
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(prefetch.budget.count() > 0, "nothing was read ahead");
}
