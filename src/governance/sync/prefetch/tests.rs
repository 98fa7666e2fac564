//! What is prefetched, for how long and how much of it, with a provider that responds at once.

use std::time::Duration;

use mockall::Sequence;

use super::limits::MAX_ROWS;
use super::*;
use crate::governance::GovernanceError;
use crate::governance::model::examples::{self, GROUP, MEMBER};
use crate::governance::provider::{FailureClass, MockProvider, MockResourceType};
use crate::governance::rate_limit::LimitExceeded;
use crate::governance::sync::session::{MAX_SESSIONS, SESSION_IDLE_TIMEOUT, Sessions};

const RESOURCES: u128 = 300;

/// Grants of each resource: the grants of 1,000 resources would be far too many to prefetch.
const GRANTS: u128 = 500;

const CONCURRENCY: usize = 16;

fn resource(number: u128) -> Resource {
    Resource::named(examples::group(number), None)
}

fn grant(number: u128) -> Holding {
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

/// A type whose list and grants the test sets.
fn resource_type() -> MockResourceType {
    let mut resources = MockResourceType::new();
    resources.expect_info().return_const(&GROUP);
    resources
}

/// A list of [`RESOURCES`] resources with [`GRANTS`] grants each.
fn resources() -> MockResourceType {
    let mut resources = resource_type();
    resources
        .expect_list()
        .returning(|_, _, _| Ok(batch((0..RESOURCES).map(resource))));
    expect_grants(&mut resources);
    resources
}

/// [`GRANTS`] grants of each resource.
fn expect_grants(resources: &mut MockResourceType) {
    resources
        .expect_grants()
        .returning(|_, _, _, _| Ok(batch((0..GRANTS).map(grant))));
}

/// Syncs of these resources, with prefetching.
struct Syncs {
    sessions: Sessions,
    prefetch: Prefetch,
    resources: Arc<dyn ResourceType>,
}

impl Syncs {
    fn new(resources: MockResourceType) -> Self {
        let mut provider = MockProvider::new();
        provider.expect_forecast().returning(|_, _| None);
        Self {
            sessions: Sessions::default(),
            prefetch: Prefetch::new(Arc::new(provider), CONCURRENCY),
            resources: Arc::new(resources),
        }
    }

    async fn list(&self, sync: &str) {
        let (session, call) = (self.sessions.session(sync), call());
        let listed = self.prefetch.resources(session, &self.resources, None, None, &call);
        listed.await.unwrap();
    }

    /// The grants of a resource from the beginning of their list on.
    async fn grants(&self, sync: &str, number: u128) -> Vec<Holding> {
        let (session, call, id) = (self.sessions.session(sync), call(), examples::group(number).id);
        let read = self.prefetch.grants(session, &self.resources, id, None, None, &call);
        read.await.unwrap().rows
    }

    /// Lists the resources and the grants of the first two, and waits until the grants that come next are prefetched.
    async fn begin(&self, sync: &str) {
        self.list(sync).await;
        for number in 0..2 {
            self.grants(sync, number).await;
        }
        settle().await;
    }

    /// How many rows are prefetched.
    fn rows(&self) -> usize {
        self.prefetch.budget.count()
    }
}

fn call() -> CallContext {
    CallContext::new(Lane::Sync)
}

/// Waits until all that was scheduled is read. The time is paused.
async fn settle() {
    tokio::time::sleep(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn prefetched_rows_are_freed_once_a_sync_is_idle() {
    let syncs = Syncs::new(resources());
    syncs.begin("one").await;
    assert!(syncs.rows() > 0, "nothing was prefetched");
    tokio::time::sleep(SESSION_IDLE_TIMEOUT / 2).await;
    assert!(syncs.rows() > 0, "a pause freed the rows");
    tokio::time::sleep(SESSION_IDLE_TIMEOUT).await;
    assert_eq!((syncs.rows(), syncs.sessions.counts()), (0, (1, 0)));
    // The sync continues after the pause.
    syncs.begin("one").await;
    assert!(syncs.rows() > 0);
}

#[tokio::test(start_paused = true)]
async fn prefetched_rows_are_freed_when_a_sync_ends() {
    let syncs = Syncs::new(resources());
    syncs.begin("one").await;
    syncs.begin("other").await;
    let both = syncs.rows();
    syncs.sessions.end("one");
    assert_eq!(syncs.rows() * 2, both);
    syncs.sessions.end("other");
    assert_eq!(syncs.rows(), 0);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_prefetched_for_a_sync_without_an_id() {
    let syncs = Syncs::new(resources());
    syncs.begin("").await;
    assert_eq!((syncs.rows(), syncs.sessions.counts()), (0, (0, 0)));
}

#[tokio::test(start_paused = true)]
async fn the_number_of_prefetched_rows_is_bounded_for_every_visit_order() {
    // Neighbours, backwards, scattered, and always the same resource.
    for stride in [1, 299, 7, 0] {
        let syncs = Syncs::new(resources());
        for sync in ["one", "other"] {
            syncs.list(sync).await;
        }
        for step in 0..RESOURCES {
            for sync in ["one", "other"] {
                let requested = step * stride % RESOURCES;
                assert_eq!(syncs.grants(sync, requested).await.len(), 500);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let most = MAX_ROWS + CONCURRENCY * 500;
            assert!(syncs.rows() < most, "{} rows, stride {stride}", syncs.rows());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_number_of_prefetched_rows_is_bounded_for_a_client_that_opens_many_syncs() {
    let syncs = Syncs::new(resources());
    for number in 0..50 {
        syncs.begin(&number.to_string()).await;
        assert!(syncs.sessions.counts().0 <= MAX_SESSIONS);
    }
    assert!(syncs.rows() < MAX_ROWS + CONCURRENCY * 500);
}

#[tokio::test(start_paused = true)]
async fn grants_that_were_prefetched_before_a_write_are_read_again() {
    let mut reads = Sequence::new();
    let mut resources = resource_type();
    resources
        .expect_list()
        .returning(|_, _, _| Ok(batch((0..3).map(resource))));
    // The first resource, the other two in advance, and one of them again.
    for (times, grants) in [(3, 1), (1, 2)] {
        resources
            .expect_grants()
            .times(times)
            .in_sequence(&mut reads)
            .returning(move |_, _, _, _| Ok(batch((0..grants).map(grant))));
    }
    let syncs = Syncs::new(resources);
    syncs.list("one").await;
    syncs.grants("one", 0).await;
    settle().await;
    syncs.prefetch.invalidate(examples::group(1));
    assert_eq!(syncs.grants("one", 1).await.len(), 2);
    assert_eq!(syncs.grants("one", 2).await.len(), 1);
}

/// Resources whose list responds once, with `response`.
fn listed_once(response: impl Fn() -> Result<Box<dyn Batch<Resource>>, Failure> + Send + 'static) -> MockResourceType {
    let mut resources = resource_type();
    resources.expect_list().times(1).returning(move |_, _, _| response());
    expect_grants(&mut resources);
    resources
}

#[tokio::test(start_paused = true)]
async fn a_sync_that_is_joined_late_is_prefetched_from_there_to_the_end_of_the_order() {
    let syncs = Syncs::new(listed_once(|| Ok(batch((0..RESOURCES).map(resource)))));
    for number in (0..=20).rev() {
        syncs.grants("one", number).await;
        settle().await;
        // The list is known at the second request.
        let left = usize::try_from(number).unwrap();
        let expected = if number == 20 { 0 } else { left * 500 };
        assert!(syncs.rows() <= expected, "{} rows before {number}", syncs.rows());
        assert!(
            expected == 0 || syncs.rows() > 0,
            "nothing was prefetched after {number}"
        );
    }
    assert_eq!(syncs.rows(), 0, "grants that were read elsewhere were prefetched");
}

#[tokio::test(start_paused = true)]
async fn a_sync_whose_list_begins_here_during_a_late_join_is_not_joined_late() {
    let syncs = Syncs::new(resources());
    syncs.grants("one", 7).await;
    syncs.list("one").await;
    settle().await;
    for number in [298, 299] {
        syncs.grants("one", number).await;
    }
    settle().await;
    assert!(
        syncs.rows() > 0,
        "the beginning of the list was not prefetched after its end"
    );
}

#[tokio::test(start_paused = true)]
async fn a_late_join_that_cannot_list_the_resources_costs_one_request_and_fails_no_call() {
    let syncs = Syncs::new(listed_once(|| {
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
        let grants = syncs.grants("one", number).await;
        assert_eq!(grants.len(), 500);
        settle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_join_that_a_rate_limit_rejects_is_retried() {
    let mut resources = resource_type();
    let mut order = Sequence::new();
    resources
        .expect_list()
        .times(1)
        .in_sequence(&mut order)
        .returning(|_, _, _| Err(GovernanceError::RateLimited(LimitExceeded::unknown()).into()));
    resources
        .expect_list()
        .times(1)
        .in_sequence(&mut order)
        .returning(|_, _, _| Ok(batch((0..RESOURCES).map(resource))));
    expect_grants(&mut resources);
    let syncs = Syncs::new(resources);
    syncs.grants("one", 20).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    syncs.grants("one", 21).await;
    settle().await;
    assert!(syncs.rows() > 0, "nothing was prefetched");
}
