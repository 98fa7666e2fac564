//! Connections that share a bucket, in one scheduler whose actions the test performs.

use std::sync::Arc;
use std::time::Duration;

use rstest::rstest;
use tokio::time::Instant;

use crate::governance::Lane;
use crate::governance::rate_limit::Bucket;
use crate::providers::buildkite::budget::scheduler::{Action, InFlight, ResponseLimits, Scheduler};
use crate::providers::buildkite::budget::{BudgetOptions, CredentialUse, LimitHeaders, Route};

const ONE: u64 = 1;
const TWO: u64 = 2;

/// A scheduler with two connections, which begins at `now`.
struct Shared {
    scheduler: Scheduler,
    last_bucket: u64,
    now: Instant,
}

impl Shared {
    fn new(organizations: [&str; 2], options: [BudgetOptions; 2]) -> Self {
        let mut shared = Self {
            scheduler: Scheduler::default(),
            last_bucket: 0,
            now: Instant::now(),
        };
        for ((connection, organization), options) in [ONE, TWO].into_iter().zip(organizations).zip(options) {
            shared.add(connection, organization, options);
        }
        shared
    }

    fn add(&mut self, connection: u64, organization: &str, options: BudgetOptions) {
        let (organization, uses) = (Some(organization.into()), [CredentialUse::Any]);
        let next_id = next(&mut self.last_bucket);
        self.scheduler
            .add(connection, organization, &uses, options, self.now, next_id);
    }

    fn learn(&mut self, connection: u64, names: &[&str]) {
        let names: Vec<Arc<str>> = names.iter().map(|name| Arc::from(*name)).collect();
        let next_id = next(&mut self.last_bucket);
        self.scheduler.learn(connection, 0, &names, self.now, next_id);
    }

    fn enqueue(&mut self, connection: u64, lane: Lane, ids: impl IntoIterator<Item = u64>) {
        let deadline = self.now + Duration::from_secs(60);
        for id in ids {
            self.scheduler.enqueue(connection, id, lane, Route::Read, deadline);
        }
    }

    /// Sends a request of a connection.
    fn send(&mut self, connection: u64) -> InFlight {
        self.enqueue(connection, Lane::Interactive, [0]);
        match self.scheduler.next_action(self.now) {
            Action::Grant(granted) => granted.request,
            other => panic!("{other:?} although nothing blocks it"),
        }
    }

    /// Sends a request of a connection, whose response reports a limit of 100 requests. 99 are left.
    fn observe(&mut self, connection: u64, bucket: Bucket) {
        let request = self.send(connection);
        let limits = Some(LimitHeaders {
            limit: Some(100),
            remaining: Some(99),
            reset: Some(50),
        });
        let mut response = ResponseLimits::default();
        match bucket {
            Bucket::Organization => response.organization = limits,
            Bucket::User => response.user = limits,
        }
        self.scheduler.complete(&request, response, self.now);
    }

    /// What the observed bucket of the first connection leaves to syncs.
    fn remaining_for_sync(&mut self) -> u32 {
        self.scheduler.state(ONE, self.now).buckets[0].remaining_for_sync
    }

    /// The waiters in the order in which they are served, one at a time.
    fn order(&mut self) -> Vec<u64> {
        std::iter::from_fn(|| match self.scheduler.next_action(self.now) {
            Action::Grant(granted) => {
                self.scheduler.refund(&granted.request);
                Some(granted.waiter)
            }
            Action::Reject(_) | Action::SleepUntil(_) => None,
        })
        .collect()
    }
}

fn next(last: &mut u64) -> impl FnMut() -> u64 {
    move || {
        *last += 1;
        *last
    }
}

#[rstest]
#[case::an_organization("acme", "grace", Lane::Interactive, [10, 21])]
#[case::a_user("globex", "ada", Lane::Interactive, [10, 21])]
#[case::below_grants("acme", "grace", Lane::Provisioning, [10, 21])]
#[case::no_bucket("globex", "grace", Lane::Interactive, [25, 26])]
fn a_flood_of_one_connection_bypasses_a_sync_of_another_ten_times(
    #[case] organization: &str,
    #[case] user: &str,
    #[case] flood: Lane,
    #[case] expected: [usize; 2],
) {
    let mut shared = Shared::new(["acme", organization], [BudgetOptions::default(); 2]);
    shared.learn(ONE, &["ada"]);
    shared.learn(TWO, &[user]);
    shared.enqueue(TWO, Lane::Sync, [100, 101]);
    shared.enqueue(ONE, flood, 0..25);
    let order = shared.order();
    let turns = [100, 101].map(|id| order.iter().position(|other| *other == id).unwrap());
    assert_eq!(turns, expected);
}

/// Options with a reserve of this percentage.
fn reserving(percent: u8) -> BudgetOptions {
    BudgetOptions {
        reserve: Some(percent),
        ..BudgetOptions::default()
    }
}

#[test]
fn a_connection_that_is_replaced_takes_its_reserve_with_it() {
    const REPLACEMENT: u64 = 3;
    let mut shared = Shared::new(["acme"; 2], [reserving(10), reserving(50)]);
    shared.observe(ONE, Bucket::Organization);
    assert_eq!(shared.remaining_for_sync(), 99 - 50);
    shared.add(REPLACEMENT, "acme", reserving(20));
    assert_eq!(shared.remaining_for_sync(), 99 - 50);
    shared.scheduler.remove(TWO);
    assert_eq!(shared.remaining_for_sync(), 99 - 20);
    shared.scheduler.remove(REPLACEMENT);
    assert_eq!(shared.remaining_for_sync(), 99 - 10);
}

#[test]
fn a_request_is_settled_after_its_bucket_was_united_twice() {
    let mut shared = Shared::new(["acme", "globex"], [reserving(0); 2]);
    shared.learn(TWO, &["ada"]);
    let request = shared.send(ONE);
    // The bucket of the request becomes one that has a name, which becomes another one, and a bucket is dropped.
    shared.add(3, "initech", reserving(0));
    shared.learn(3, &["ada@example.com"]);
    shared.learn(ONE, &["ada@example.com"]);
    shared.learn(TWO, &["ada", "ada@example.com"]);
    shared.scheduler.remove(3);
    shared.observe(ONE, Bucket::User);
    assert_eq!(shared.remaining_for_sync(), 98, "the request is in flight");
    shared.scheduler.refund(&request);
    assert_eq!(shared.remaining_for_sync(), 99);
}
