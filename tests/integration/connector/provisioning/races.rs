//! Many callers at once: on one pair every history is one that the model allows, and different pairs do not wait for each
//! other.

use std::collections::HashSet;
use std::time::Duration;

use buildkite_connector::sandbox::{Endpoint, Fault, FaultKind};
use futures::future::join_all;

use super::model::{Answer, Change, Pair, Role};
use super::{World, perform};

/// Whether some order of the calls, from `held`, gives each its answer and ends in `end`.
fn is_allowed(calls: &[(Change, Answer)], held: Option<Role>, end: Option<Role>) -> bool {
    // The state is which calls are done and what is held: few enough to look at all of them.
    fn search(
        calls: &[(Change, Answer)],
        done: u32,
        held: Option<Role>,
        end: Option<Role>,
        seen: &mut HashSet<(u32, Option<Role>)>,
    ) -> bool {
        if done.count_ones() as usize == calls.len() {
            return held == end;
        }
        seen.insert((done, held))
            && calls.iter().enumerate().any(|(index, (change, answer))| {
                let bit = 1 << index;
                let (next, said) = change.step(held);
                done & bit == 0 && said == *answer && search(calls, done | bit, next, end, seen)
            })
    }
    search(calls, 0, held, end, &mut HashSet::new())
}

#[test]
fn the_search_knows_a_history_that_no_order_gives() {
    let grant = Change::Grant(Role::Member);
    assert!(is_allowed(
        &[(grant, Answer::AlreadyExists), (grant, Answer::Done)],
        None,
        Some(Role::Member)
    ));
    assert!(!is_allowed(
        &[(grant, Answer::Done), (grant, Answer::Done)],
        None,
        Some(Role::Member)
    ));
    assert!(!is_allowed(&[(grant, Answer::Done)], None, None));
}

#[tokio::test]
async fn many_callers_on_one_pair_are_as_if_one_came_after_the_other() {
    let world = World::new().await;
    for round in 0..6 {
        let start = [None, Some(Role::Member), Some(Role::Maintainer)][round % 3];
        let pair = Pair {
            team: world.teams[round % 4],
            user: world.people[round],
        };
        world.hold(pair, start);
        if round % 2 == 1 {
            for endpoint in super::WRITES {
                world
                    .sandbox
                    .faults()
                    .add(Fault::new(endpoint, FaultKind::ResetAfter).after(1).once());
            }
        }
        let calls = (0..16).map(|number| {
            let change = Change::ALL[(number * 7 + round) % 4];
            let world = &world;
            async move { (change, world.perform(pair, change).await.unwrap()) }
        });
        let history = join_all(calls).await;
        assert!(
            is_allowed(&history, start, world.held(pair)),
            "{start:?} {history:?} {:?}",
            world.held(pair)
        );
        world.sandbox.faults().clear();
    }
}

#[tokio::test]
async fn thirty_equal_grants_make_one_write() {
    let world = World::new().await;
    let answers = join_all((0..30).map(|_| world.perform(world.pair(), Change::Grant(Role::Member)))).await;
    let done = answers
        .into_iter()
        .filter(|answer| matches!(answer, Ok(Answer::Done)))
        .count();
    assert_eq!(
        (done, world.sandbox.request_log().count(Endpoint::AddTeamMember)),
        (1, 1)
    );
}

#[tokio::test]
async fn different_pairs_run_side_by_side() {
    let world = World::new().await;
    let delay = Duration::from_millis(150);
    world
        .sandbox
        .faults()
        .add(Fault::new(Endpoint::TeamMember, FaultKind::Delay(delay)));
    let calls = world.people.iter().take(4).flat_map(|user| {
        world.teams.iter().take(2).map(|team| Pair {
            team: *team,
            user: *user,
        })
    });
    let platform = &world.platform;
    let answers =
        join_all(calls.map(|pair| async move {
            perform(platform, pair, &pair.user.to_string(), Change::Grant(Role::Member)).await
        }));
    for answer in answers.await {
        assert_eq!(answer.unwrap(), Answer::Done);
    }
    assert!(world.sandbox.request_log().peak_in_flight() >= 2);
}
