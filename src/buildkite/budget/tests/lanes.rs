//! Whose turn it is.

use std::time::Duration;

use tokio::time::Instant;

use crate::buildkite::budget::BudgetOptions;
use crate::buildkite::budget::lanes::{Lanes, Waiter};
use crate::buildkite::call::Lane;

fn join(lanes: &mut Lanes, lane: Lane, numbers: impl IntoIterator<Item = u64>) {
    let until = Instant::now() + Duration::from_secs(60);
    for number in numbers {
        let waiter = Waiter {
            number,
            until,
            limited: false,
        };
        lanes.join(lane, waiter);
    }
}

fn order(lanes: &mut Lanes, may_go: impl Fn(Lane) -> bool) -> Vec<u64> {
    std::iter::from_fn(|| {
        let lane = lanes.next(&may_go)?;
        lanes.take(lane).map(|waiter| waiter.number)
    })
    .collect()
}

#[test]
fn grants_pass_first_and_each_lane_is_first_come_first_served() {
    let mut lanes = Lanes::default();
    join(&mut lanes, Lane::Sync, [1, 2]);
    join(&mut lanes, Lane::Interactive, [3, 4]);
    join(&mut lanes, Lane::Provisioning, [5, 6]);
    lanes.leave(3);
    assert_eq!(order(&mut lanes, |_| true), [5, 6, 4, 1, 2]);
}

#[test]
fn a_lane_that_was_passed_over_ten_times_is_next_once() {
    let mut lanes = Lanes::default();
    join(&mut lanes, Lane::Sync, [100, 101]);
    join(&mut lanes, Lane::Provisioning, 0..25);
    let order = order(&mut lanes, |_| true);
    let turns: Vec<usize> = [100, 101]
        .iter()
        .map(|number| order.iter().position(|other| other == number).unwrap())
        .collect();
    assert_eq!(turns, [10, 21]);
}

#[test]
fn a_lane_without_room_is_not_next_however_long_it_waits() {
    let mut lanes = Lanes::default();
    join(&mut lanes, Lane::Sync, [100]);
    join(&mut lanes, Lane::Provisioning, 0..25);
    assert_eq!(
        order(&mut lanes, |lane| lane != Lane::Sync),
        (0..25).collect::<Vec<_>>()
    );
    assert_eq!(lanes.waiting(Lane::Sync), 1);
}

#[test]
fn the_reserve_is_a_tenth_and_at_least_three_and_never_all() {
    let reserve = |percent, limit| {
        let options = BudgetOptions {
            reserve: percent,
            ..BudgetOptions::default()
        };
        options.reserve_of(limit)
    };
    assert_eq!(
        [200, 50, 41, 10, 3, 1].map(|limit| reserve(10, limit)),
        [20, 5, 5, 3, 2, 0]
    );
    assert_eq!([reserve(0, 200), reserve(50, 200), reserve(255, 200)], [0, 100, 199]);
}
