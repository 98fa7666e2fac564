//! The order of the queue.

use std::time::Duration;

use rstest::rstest;
use tokio::time::Instant;

use crate::governance::Lane;
use crate::providers::buildkite::budget::BudgetOptions;
use crate::providers::buildkite::budget::Route;
use crate::providers::buildkite::budget::queue::{PriorityQueue, Waiter};

fn enqueue(queue: &mut PriorityQueue, lane: Lane, ids: impl IntoIterator<Item = u64>) {
    let deadline = Instant::now() + Duration::from_secs(60);
    for id in ids {
        let waiter = Waiter {
            id,
            route: Route::Read,
            deadline,
            throttled: false,
        };
        queue.enqueue(lane, waiter);
    }
}

fn order(queue: &mut PriorityQueue, may_send: impl Fn(Lane) -> bool) -> Vec<u64> {
    std::iter::from_fn(|| {
        let next = queue.next(|lane, _| may_send(lane).then_some(()))?;
        queue.dequeue(next.lane, next.waiter).map(|waiter| waiter.id)
    })
    .collect()
}

#[test]
fn grants_go_first_and_each_lane_is_first_in_first_out() {
    let mut queue = PriorityQueue::default();
    enqueue(&mut queue, Lane::Sync, [1, 2]);
    enqueue(&mut queue, Lane::Interactive, [3, 4]);
    enqueue(&mut queue, Lane::Provisioning, [5, 6]);
    queue.cancel(3);
    assert_eq!(order(&mut queue, |_| true), [5, 6, 4, 1, 2]);
}

#[test]
fn a_lane_that_was_bypassed_ten_times_is_next_once() {
    let mut queue = PriorityQueue::default();
    enqueue(&mut queue, Lane::Sync, [100, 101]);
    enqueue(&mut queue, Lane::Provisioning, 0..25);
    let order = order(&mut queue, |_| true);
    let turns: Vec<usize> = [100, 101]
        .iter()
        .map(|id| order.iter().position(|other| other == id).unwrap())
        .collect();
    assert_eq!(turns, [10, 21]);
}

#[test]
fn a_lane_that_may_not_send_is_never_next() {
    let mut queue = PriorityQueue::default();
    enqueue(&mut queue, Lane::Sync, [100]);
    enqueue(&mut queue, Lane::Provisioning, 0..25);
    assert_eq!(
        order(&mut queue, |lane| lane != Lane::Sync),
        (0..25).collect::<Vec<_>>()
    );
    assert_eq!(queue.waiting(Lane::Sync), 1);
}

#[rstest]
#[case::not_given(None, [250, 200, 150, 100, 50, 41, 30, 10, 4, 3, 1], [25, 20, 15, 15, 15, 12, 9, 3, 1, 0, 0])]
#[case::a_tenth(Some(10), [250, 200, 150, 100, 50, 41, 30, 10, 4, 3, 1], [25, 20, 15, 10, 5, 5, 3, 1, 1, 1, 0])]
#[case::one_percent(Some(1), [250, 200, 150, 100, 50, 41, 30, 10, 4, 3, 1], [3, 2, 2, 1, 1, 1, 1, 1, 1, 1, 0])]
#[case::half(Some(50), [250, 200, 150, 100, 50, 41, 30, 10, 4, 3, 1], [125, 100, 75, 50, 25, 21, 15, 5, 2, 2, 0])]
#[case::all(Some(255), [250, 200, 150, 100, 50, 41, 30, 10, 4, 3, 1], [249, 199, 149, 99, 49, 40, 29, 9, 3, 2, 0])]
#[case::nothing(Some(0), [250, 200, 150, 100, 50, 41, 30, 10, 4, 3, 1], [0; 11])]
fn the_reserve_is_as_configured_and_by_default_covers_five_changes_at_a_limit_of_fifty(
    #[case] reserve: Option<u8>,
    #[case] limits: [u32; 11],
    #[case] expected: [u32; 11],
) {
    let options = BudgetOptions {
        reserve,
        ..BudgetOptions::default()
    };
    assert_eq!(limits.map(|limit| options.reserve_of(limit)), expected);
}
