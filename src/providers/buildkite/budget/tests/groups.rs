//! Groups that merge while their connections have events.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};

use tokio::time::Instant;

use crate::providers::buildkite::budget::group::Group;
use crate::providers::buildkite::budget::{BudgetOptions, CredentialUse};

fn group_of(connection: u64) -> Arc<Group> {
    let group = Arc::<Group>::default();
    group.update(|state| {
        let (options, now) = (BudgetOptions::default(), Instant::now());
        let mut bucket = connection * 10;
        let next_id = || {
            bucket += 1;
            bucket
        };
        let uses = [CredentialUse::Any];
        state.scheduler.add(connection, None, &uses, options, now, next_id);
    });
    group
}

#[test]
fn events_during_a_merge_find_their_connection() {
    for _ in 0..500 {
        let (group, other) = (group_of(1), group_of(2));
        let (begin, is_merged) = (Barrier::new(2), AtomicBool::new(false));
        let found = || other.update(|state| !state.scheduler.users_of(2).is_empty());
        std::thread::scope(|scope| {
            let events = scope.spawn(|| {
                begin.wait();
                let mut all_found = true;
                while !is_merged.load(Ordering::Acquire) {
                    all_found &= found();
                }
                all_found
            });
            begin.wait();
            group.merge(&other);
            is_merged.store(true, Ordering::Release);
            assert!(
                events.join().unwrap(),
                "an event reached a scheduler without its connection"
            );
        });
        assert!(found() && Arc::ptr_eq(&other.current(), &group));
    }
}
