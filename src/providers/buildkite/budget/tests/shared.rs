//! Connections that share a bucket, in one scheduler whose actions the test performs.

use std::sync::Arc;
use std::time::Duration;

use rstest::rstest;
use tokio::time::Instant;

use crate::governance::Lane;
use crate::providers::buildkite::budget::scheduler::{Action, Scheduler};
use crate::providers::buildkite::budget::{BudgetOptions, CredentialUse, Route};

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
