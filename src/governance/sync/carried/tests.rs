//! How the access that principals carry is read, by a provider that responds at once. The time is paused.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;

use super::*;
use crate::governance::model::Resource;
use crate::governance::model::examples::{self, GROUP, MEMBER, OBJECT};
use crate::governance::provider::{Amount, Batch, Carried, Failure, FailureClass, MockProvider, MockResourceType};
use crate::governance::rate_limit::{BudgetState, LimitExceeded};
use crate::governance::sync::ListHistory;
use crate::governance::sync::observed_lists::PageEnds;
use crate::governance::sync::session::{SESSION_IDLE_TIMEOUT, Sessions};

const MAX_AGE: Duration = Duration::from_secs(600);
const MAX_WAIT: Duration = Duration::from_secs(45);
const CONCURRENCY: usize = 4;

/// The groups 1 to 9 are listed.
const GROUPS: u128 = 9;

/// How long the list of one group takes.
const LATENCY: Duration = Duration::from_secs(1);

const ONLY_PAGE: PageEnds = PageEnds {
    is_first: true,
    is_last: true,
};

/// The provider, as a test changes it.
#[derive(Debug, Default)]
struct State {
    /// Group and object of each row.
    rows: HashSet<(u128, u128)>,
    /// The failures of the next reads of a group's list.
    failures: HashMap<u128, Vec<Failure>>,
    /// The groups that are proven absent once their list responds with "not found".
    gone: HashSet<u128>,
    /// The groups whose lists were read, in order.
    reads: Vec<u128>,
    in_flight: usize,
    peak_in_flight: usize,
    groups_listed: usize,
    /// The time until the limit admits the requests that are left.
    forecast: Option<Duration>,
}

#[derive(Debug, Clone, Default)]
struct Server(Arc<Mutex<State>>);

impl Server {
    /// Each group carries one of the objects 1 to 3, and group 9 carries object 1 as well.
    fn new() -> Self {
        let server = Self::default();
        server.with(|state| {
            state.rows = (1..=GROUPS).map(|group| (group, group % 3 + 1)).collect();
            state.rows.insert((9, 3));
        });
        server
    }

    fn with<T>(&self, access: impl FnOnce(&mut State) -> T) -> T {
        access(&mut self.0.lock().unwrap())
    }

    /// The next read of the group's list fails.
    fn fail(&self, group: u128, failure: Failure) {
        self.with(|state| state.failures.entry(group).or_default().push(failure));
    }

    fn reads(&self) -> Vec<u128> {
        self.with(|state| {
            let mut reads = state.reads.clone();
            reads.sort_unstable();
            reads
        })
    }
}

#[async_trait]
impl CarriedGrants for Server {
    fn carriers(&self) -> &'static ResourceTypeInfo {
        &GROUP
    }

    async fn carried_by(
        &self,
        carrier: Uuid,
        _: Option<Cursor>,
        _: Amount,
        _: &CallContext,
    ) -> Result<Box<dyn Batch<Carried>>, Failure> {
        let group = carrier.as_u128();
        self.with(|state| {
            state.in_flight += 1;
            state.peak_in_flight = state.peak_in_flight.max(state.in_flight);
        });
        // Shows what the server had when the request arrived.
        let rows = self.with(|state| rows_of(state, group));
        tokio::time::sleep(LATENCY).await;
        self.with(|state| {
            state.in_flight -= 1;
            state.reads.push(group);
            if state.gone.contains(&group) {
                return Err(failure(FailureClass::NotFound));
            }
            match state.failures.get_mut(&group).filter(|failures| !failures.is_empty()) {
                Some(failures) => Err(failures.remove(0)),
                None => Ok(batch(rows)),
            }
        })
    }
}

fn rows_of(state: &State, group: u128) -> Vec<Carried> {
    let rows = state.rows.iter().filter(|(of, _)| *of == group);
    rows.map(|(_, object)| Carried {
        resource: Uuid::from_u128(*object),
        level: Some(MEMBER),
    })
    .collect()
}

fn batch<R: std::fmt::Debug + Send + 'static>(rows: Vec<R>) -> Box<dyn Batch<R>> {
    Box::new(Rows { rows, next: None })
}

fn failure(class: FailureClass) -> Failure {
    Failure {
        class,
        scope: None,
        error: GovernanceError::Unavailable {
            endpoint: "team clusters",
            why: "503".to_owned(),
        },
    }
}

fn rate_limited() -> Failure {
    GovernanceError::RateLimited(LimitExceeded::unknown()).into()
}

/// The access that groups carry to objects, and the syncs that request it.
struct Syncs {
    sessions: Sessions,
    access: CarriedAccess,
    objects: Arc<dyn ResourceType>,
}

impl Syncs {
    fn new(server: &Server) -> Self {
        let (groups, objects) = (groups(server), objects(server));
        let types = vec![groups, Arc::clone(&objects)];
        let mut provider = MockProvider::new();
        provider.expect_resource_types().return_const(types);
        provider.expect_list_history().return_const(ListHistory::default());
        provider.expect_max_wait().return_const(MAX_WAIT);
        provider.expect_budget().returning(|| BudgetState {
            buckets: Vec::new(),
            sent: 0,
            in_flight: 0,
            waiting: crate::governance::Lane::ALL.map(|lane| (lane, 0)),
        });
        let forecast = server.clone();
        provider
            .expect_forecast()
            .returning(move |_, _| forecast.with(|state| Some(Instant::now() + state.forecast?)));
        Self {
            sessions: Sessions::default(),
            access: CarriedAccess::new(Arc::new(provider), CONCURRENCY, MAX_AGE),
            objects,
        }
    }

    /// Lists the groups and the objects 1 to 3 in a sync.
    fn list(&self, sync: &str) {
        let session = self.sessions.session(sync);
        for (listed, count) in [(&GROUP, GROUPS), (&OBJECT, 3)] {
            let ids = (1..=count).map(Uuid::from_u128);
            session.update_observed(|observed| observed.record_resources(listed, ONLY_PAGE, ids));
            self.access.start(session, listed);
        }
    }

    async fn page(
        &self,
        sync: &str,
        object: u128,
        from: Option<Cursor>,
        limit: Option<usize>,
        call: &CallContext,
    ) -> Result<Rows<Holding>, GovernanceError> {
        let (session, limit) = (self.sessions.session(sync), limit.and_then(NonZeroUsize::new));
        let id = Uuid::from_u128(object);
        self.access.grants(session, &self.objects, id, from, limit, call).await
    }

    /// The groups that hold a level of the object.
    async fn holders(&self, sync: &str, object: u128) -> Result<Vec<u128>, GovernanceError> {
        let page = self.page(sync, object, None, None, &call()).await?;
        assert_eq!(page.next, None);
        Ok(page.rows.iter().map(|row| row.principal.id.as_u128()).collect())
    }
}

fn call() -> CallContext {
    CallContext::new(crate::governance::Lane::Sync)
}

fn groups(server: &Server) -> Arc<dyn ResourceType> {
    let mut groups = MockResourceType::new();
    groups.expect_info().return_const(&GROUP);
    groups.expect_carried().returning(|| None);
    groups.expect_check_visibility().returning(|_, _| Ok(()));
    let listed = server.clone();
    groups.expect_list().returning(move |_, _, _| {
        listed.with(|state| state.groups_listed += 1);
        Ok(batch(
            (1..=GROUPS)
                .map(|number| Resource::named(examples::group(number), None))
                .collect(),
        ))
    });
    groups
        .expect_explain()
        .returning(|failure, group, _| match (failure.class, group) {
            (FailureClass::NotFound, Some(group)) => GovernanceError::ResourceNotFound {
                resource: examples::group(group.as_u128()),
            },
            _ => failure.error,
        });
    Arc::new(groups)
}

fn objects(server: &Server) -> Arc<dyn ResourceType> {
    let carried: &'static Server = Box::leak(Box::new(server.clone()));
    let mut objects = MockResourceType::new();
    objects.expect_info().return_const(&OBJECT);
    objects.expect_carried().returning(move || Some(carried));
    objects.expect_check_visibility().returning(|_, _| Ok(()));
    objects
        .expect_get()
        .returning(|_, _| Err(failure(FailureClass::NotFound)));
    objects
        .expect_explain()
        .returning(|_, object, _| GovernanceError::ResourceNotFound {
            resource: examples::object(object.unwrap().as_u128()),
        });
    Arc::new(objects)
}

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
    let alive = || {
        let known = syncs.access.lock();
        known.all.iter().filter(|reading| reading.strong_count() > 0).count()
    };
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
async fn a_call_whose_deadline_comes_before_the_reset_is_told_at_once() {
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
async fn a_reading_is_not_idle_before_its_client_was_told_to_come_back() {
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
