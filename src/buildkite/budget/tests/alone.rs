//! With the organization to ourselves: no 429, ever, and nothing of the windows wasted.

use std::time::Duration;

use proptest::prelude::*;

use super::simulation::{Plan, Sent, run, saturated};
use crate::buildkite::budget::{Bucket, BudgetOptions};
use crate::buildkite::call::Lane;

/// How many requests each whole window of the scarcer bucket could hold, and how many it held.
fn use_of_windows(plan: &Plan, sent: &[Sent]) -> (u32, u32) {
    let bucket = if plan.model.user.limit <= plan.model.organization.limit {
        Bucket::User
    } else {
        Bucket::Organization
    };
    let counter = plan.model.of(bucket);
    let (first, last) = (counter.window(Duration::ZERO) + 1, counter.window(plan.until));
    let held = sent
        .iter()
        .flat_map(|sent| &sent.counted)
        .filter(|(name, counted)| *name == bucket && (first..last).contains(&counted.window))
        .count();
    let windows = u32::try_from(last - first).unwrap();
    (counter.limit * windows, u32::try_from(held).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_request_is_refused(
        plan in saturated(), way in 0_u64..12_000, lost in 0_u64..60, silent in 0_u64..60,
        grants in proptest::collection::vec(0_u64..250_000, 0..60),
    ) {
        let grants = grants.into_iter().map(Duration::from_millis).collect();
        let mut plan = Plan { way: Duration::from_millis(way), lost, silent, grants, ..plan };
        // Where the very first answers may say nothing, a limit must leave room for a few requests more.
        plan.model.user.limit = plan.model.user.limit.max(if silent > 0 { 15 } else { 5 });
        plan.model.organization.limit = plan.model.organization.limit.max(15);
        let sent = run(&plan);
        let refused: Vec<_> = sent.iter().filter(|sent| sent.refused_by().is_some()).collect();
        prop_assert!(refused.is_empty(), "{refused:#?}");
        prop_assert!(sent.len() > 5);
    }

    #[test]
    fn at_least_ninety_eight_percent_of_every_window_is_used(plan in saturated()) {
        let (possible, used) = use_of_windows(&plan, &run(&plan));
        prop_assert!(f64::from(used) >= 0.98 * f64::from(possible), "{used} of {possible}");
    }

    #[test]
    fn a_grant_during_a_sync_waits_for_no_window_while_the_reserve_lasts(
        plan in saturated(), minutes in proptest::collection::vec(0_u64..60_000, 1..4),
    ) {
        // As many grants a minute as the least reserve holds, each in another part of each minute.
        let at = |minute: u64| minutes.iter().map(move |within| Duration::from_millis(minute * 60_000 + within));
        let grants: Vec<Duration> = (1..5).flat_map(at).take(12).collect();
        let mut plan = Plan { grants, ..plan };
        plan.model.user.limit = plan.model.user.limit.max(30);
        plan.model.organization.limit = plan.model.organization.limit.max(60);
        let reserve = BudgetOptions::default().reserve_of(plan.model.user.limit);
        prop_assert!(reserve >= 3);
        let sent = run(&plan);
        let latency = plan.way * 2;
        for grant in sent.iter().filter(|sent| sent.lane == Lane::Provisioning) {
            let waited = grant.waited();
            let near_an_end = Bucket::ALL.iter().any(|bucket| {
                let counter = plan.model.of(*bucket);
                let ends = counter.ends(counter.window(grant.joined));
                let left = ends.saturating_sub(grant.joined);
                left < Duration::from_secs(3) + latency || left + latency > Duration::from_millis(57_800)
            });
            // The reserve is released in a window's last two seconds, and its end is known to one, either way.
            let most = if near_an_end { Duration::from_millis(4_300) + latency * 2 } else { Duration::ZERO };
            prop_assert!(waited <= most, "{grant:?} waited {waited:?}");
        }
    }
}
