//! What is held, for how long and how much of it, with a provider that responds at once.

use mockall::Sequence;

use super::*;
use crate::governance::GovernanceError;
use crate::governance::model::examples::{self, GROUP, MEMBER};
use crate::governance::provider::{FailureClass, MockProvider, MockResourceType};
use crate::governance::rate_limit::LimitExceeded;

const TEAMS: u128 = 300;

/// Rows of each team: more than a thousand teams' would be far too many to hold.
const ROWS: u128 = 500;

fn team(number: u128) -> Uuid {
    examples::group(number).id
}

fn member(number: u128) -> Holding {
    Holding {
        principal: examples::user(number),
        name: None,
        level: Some(MEMBER),
    }
}

fn batch<R: std::fmt::Debug + Send + 'static>(rows: impl IntoIterator<Item = R>) -> Box<dyn Batch<R>> {
    Box::new(Rows {
        rows: rows.into_iter().collect(),
        next: None,
    })
}

fn team_row(number: u128) -> Resource {
    Resource::named(examples::group(number), None)
}

/// A type whose resources have a list and grants that the test sets.
fn resource_type() -> MockResourceType {
    let mut resources = MockResourceType::new();
    resources.expect_info().return_const(&GROUP);
    resources
}

/// Teams of so many members each, and a list of them.
fn teams() -> MockResourceType {
    let mut teams = resource_type();
    teams
        .expect_list()
        .returning(|_, _, _| Ok(batch((0..TEAMS).map(team_row))));
    teams
        .expect_grants()
        .returning(|_, _, _, _| Ok(batch((0..ROWS).map(member))));
    teams
}

/// A prefetch of these teams.
struct Prefetched {
    prefetch: Prefetch,
    teams: Arc<dyn ResourceType>,
}

impl std::ops::Deref for Prefetched {
    type Target = Prefetch;

    fn deref(&self) -> &Prefetch {
        &self.prefetch
    }
}

impl Prefetched {
    async fn list(&self, sync: &str) {
        let listed = self.prefetch.resources(sync, &self.teams, None, None, &call()).await;
        listed.unwrap();
    }

    /// The members of a team from the beginning of their list on.
    async fn members(&self, sync: &str, number: u128) -> Vec<Holding> {
        let call = call();
        let read = self.prefetch.grants(sync, &self.teams, team(number), None, None, &call);
        read.await.unwrap().rows
    }
}

fn prefetch(teams: MockResourceType) -> Prefetched {
    let mut provider = MockProvider::new();
    provider.expect_forecast().returning(|_, _| None);
    Prefetched {
        prefetch: Prefetch::new(Arc::new(provider), 16),
        teams: Arc::new(teams),
    }
}

fn call() -> CallContext {
    CallContext::new(Lane::Sync)
}

/// A sync that has listed its teams and asked for the first two of them.
async fn begun(prefetch: &Prefetched, sync: &str) {
    prefetch.list(sync).await;
    for number in 0..2 {
        prefetch.members(sync, number).await;
    }
    // What was begun has time to be read.
    tokio::time::sleep(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_sync_holds_is_freed_once_it_goes_quiet() {
    let prefetch = prefetch(teams());
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
    let prefetch = prefetch(teams());
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
        let prefetch = prefetch(teams());
        for sync in ["one", "other"] {
            prefetch.list(sync).await;
        }
        for step in 0..TEAMS {
            for sync in ["one", "other"] {
                let asked = step * stride % TEAMS;
                assert_eq!(prefetch.members(sync, asked).await.len(), 500);
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
    let prefetch = prefetch(teams());
    for number in 0..50 {
        begun(&prefetch, &number.to_string()).await;
        assert!(prefetch.lock().sessions.len() <= MAX_SESSIONS);
    }
    assert!(prefetch.budget.count() < RowBudget::MAX_ROWS + 16 * 500);
}

#[tokio::test(start_paused = true)]
async fn what_was_read_before_a_write_of_ours_is_read_again() {
    let mut reads = Sequence::new();
    let mut teams = resource_type();
    teams.expect_list().returning(|_, _, _| Ok(batch((0..3).map(team_row))));
    // The first team; the other two, ahead; and one of them again.
    for (times, rows) in [(3, 1), (1, 2)] {
        teams
            .expect_grants()
            .times(times)
            .in_sequence(&mut reads)
            .returning(move |_, _, _, _| Ok(batch((0..rows).map(member))));
    }
    let prefetch = prefetch(teams);
    prefetch.list("one").await;
    prefetch.members("one", 0).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    prefetch.invalidate(examples::group(1));
    assert_eq!(prefetch.members("one", 1).await.len(), 2);
    assert_eq!(prefetch.members("one", 2).await.len(), 1);
}

/// Teams whose list responds so, once.
fn listing_once(response: impl Fn() -> Result<Box<dyn Batch<Resource>>, Failure> + Send + 'static) -> MockResourceType {
    let mut teams = resource_type();
    teams.expect_list().times(1).returning(move |_, _, _| response());
    teams
        .expect_grants()
        .returning(|_, _, _, _| Ok(batch((0..ROWS).map(member))));
    teams
}

#[tokio::test(start_paused = true)]
async fn a_sync_that_is_met_in_its_middle_is_read_ahead_for_from_there_on_and_not_around() {
    let prefetch = prefetch(listing_once(|| Ok(batch((0..TEAMS).map(team_row)))));
    for number in (0..=20).rev() {
        prefetch.members("one", number).await;
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
    let prefetch = prefetch(teams());
    prefetch.members("one", 7).await;
    prefetch.list("one").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    for number in [298, 299] {
        prefetch.members("one", number).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(prefetch.budget.count() > 0, "it goes around at the end of the list");
}

#[tokio::test(start_paused = true)]
async fn teams_that_cannot_be_listed_cost_one_request_and_no_response() {
    let prefetch = prefetch(listing_once(|| {
        Err(Failure {
            class: FailureClass::Forbidden,
            scope: None,
            error: GovernanceError::Forbidden {
                endpoint: "teams",
                message: None,
            },
        })
    }));
    for number in 0..10 {
        let read = prefetch.members("one", number).await;
        assert_eq!(read.len(), 500);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_a_rate_limit_refuses_is_made_when_it_opens() {
    let mut teams = resource_type();
    let mut order = Sequence::new();
    teams
        .expect_list()
        .times(1)
        .in_sequence(&mut order)
        .returning(|_, _, _| Err(GovernanceError::RateLimited(LimitExceeded::unknown()).into()));
    teams
        .expect_list()
        .times(1)
        .in_sequence(&mut order)
        .returning(|_, _, _| Ok(batch((0..TEAMS).map(team_row))));
    teams
        .expect_grants()
        .returning(|_, _, _, _| Ok(batch((0..ROWS).map(member))));
    let prefetch = prefetch(teams);
    prefetch.members("one", 20).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    prefetch.members("one", 21).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(prefetch.budget.count() > 0, "nothing was read ahead");
}
