//! Whose turn it is.

use std::time::Duration;

use rstest::rstest;
use tokio::time::Instant;

use crate::providers::buildkite::budget::BudgetOptions;
use crate::providers::buildkite::budget::lanes::{Lanes, Waiter};
use crate::providers::buildkite::call::Lane;

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

#[rstest]
#[case::not_given(None, [250, 200, 150, 100, 50, 41, 30, 10, 4, 3, 1], [25, 20, 15, 15, 15, 12, 9, 3, 1, 0, 0])]
#[case::a_tenth(Some(10), [250, 200, 150, 100, 50, 41, 30, 10, 4, 3, 1], [25, 20, 15, 10, 5, 5, 3, 1, 1, 1, 0])]
#[case::one_percent(Some(1), [250, 200, 150, 100, 50, 41, 30, 10, 4, 3, 1], [3, 2, 2, 1, 1, 1, 1, 1, 1, 1, 0])]
#[case::half(Some(50), [250, 200, 150, 100, 50, 41, 30, 10, 4, 3, 1], [125, 100, 75, 50, 25, 21, 15, 5, 2, 2, 0])]
#[case::all(Some(255), [250, 200, 150, 100, 50, 41, 30, 10, 4, 3, 1], [249, 199, 149, 99, 49, 40, 29, 9, 3, 2, 0])]
#[case::nothing(Some(0), [250, 200, 150, 100, 50, 41, 30, 10, 4, 3, 1], [0; 11])]
fn the_reserve_is_as_given_and_else_carries_five_changes_where_the_limit_is_fifty(
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
