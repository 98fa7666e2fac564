//! Without other consumers: no 429, and every window is used in full.

use std::time::Duration;

use proptest::prelude::*;

use super::simulation::{Plan, SimulatedRequest, run, saturated};
use crate::governance::Lane;
use crate::governance::rate_limit::Bucket;
use crate::providers::buildkite::budget::BudgetOptions;

/// The capacity of all whole windows of the scarcer bucket, and how many requests they counted.
fn window_usage(plan: &Plan, sent: &[SimulatedRequest]) -> (u32, u32) {
    let bucket = if plan.model.user.limit <= plan.model.organization.limit {
        Bucket::User
    } else {
        Bucket::Organization
    };
    let counter = plan.model.of(bucket);
    let (first, last) = (counter.window(Duration::ZERO) + 1, counter.window(plan.until));
    let used = sent
        .iter()
        .flat_map(|sent| &sent.counted)
        .filter(|(name, counted)| *name == bucket && (first..last).contains(&counted.window))
        .count();
    let windows = u32::try_from(last - first).unwrap();
    (counter.limit * windows, u32::try_from(used).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_request_is_refused(
        plan in saturated(), one_way in 0_u64..12_000, lost in 0_u64..60, silent in 0_u64..60,
        grants in proptest::collection::vec(0_u64..250_000, 0..60),
    ) {
        let grants = grants.into_iter().map(Duration::from_millis).collect();
        let mut plan = Plan { one_way: Duration::from_millis(one_way), lost, silent, grants, ..plan };
        // If the first responses may lack the headers, the limit must allow a few more requests.
        plan.model.user.limit = plan.model.user.limit.max(if silent > 0 { 15 } else { 5 });
        plan.model.organization.limit = plan.model.organization.limit.max(15);
        let sent = run(&plan);
        let refused: Vec<_> = sent.iter().filter(|sent| sent.refused_by().is_some()).collect();
        prop_assert!(refused.is_empty(), "{refused:#?}");
        prop_assert!(sent.len() > 5);
    }

    #[test]
    fn at_least_ninety_eight_percent_of_every_window_is_used(plan in saturated()) {
        let (capacity, used) = window_usage(&plan, &run(&plan));
        prop_assert!(f64::from(used) >= 0.98 * f64::from(capacity), "{used} of {capacity}");
    }

    #[test]
    fn a_grant_during_a_sync_waits_for_no_window_while_the_reserve_lasts(
        plan in saturated(), minutes in proptest::collection::vec(0_u64..60_000, 1..4),
    ) {
        // As many grants a minute as the smallest reserve allows, each in another part of each minute.
        let at = |minute: u64| minutes.iter().map(move |within| Duration::from_millis(minute * 60_000 + within));
        let grants: Vec<Duration> = (1..5).flat_map(at).take(12).collect();
        let mut plan = Plan { grants, ..plan };
        plan.model.user.limit = plan.model.user.limit.max(30);
        plan.model.organization.limit = plan.model.organization.limit.max(60);
        let reserve = BudgetOptions::default().reserve_of(plan.model.user.limit);
        prop_assert!(reserve >= 3);
        let sent = run(&plan);
        let latency = plan.one_way * 2;
        for grant in sent.iter().filter(|sent| sent.lane == Lane::Provisioning) {
            // The reserve is released in a window's last two seconds, and the reset is known to one second, either way.
            let max_wait = if is_near_a_reset(&plan, grant.enqueued_at) { Duration::from_millis(4_300) + latency * 2 } else { Duration::ZERO };
            let waited = grant.waited();
            prop_assert!(waited <= max_wait, "{grant:?} waited {waited:?}");
        }
    }

    #[test]
    fn five_approvals_of_three_requests_in_one_window_of_fifty_pass_a_saturating_sync_that_uses_the_rest(
        plan in saturated(), moments in proptest::collection::vec(0_u64..50_000, 5), apart in any::<bool>(),
    ) {
        let mut plan = Plan { requests_per_grant: 3, ..plan };
        plan.model.user.limit = 50;
        plan.model.organization.limit = 200;
        let user = plan.model.of(Bucket::User);
        // In a window of the user's that begins while the sync runs: after its first seconds, in which it is not yet
        // known to have begun, and before its last seconds, in which the reserve is released. Either apart or all at
        // once.
        let begins = user.ends(user.window(Duration::ZERO)) + Duration::from_secs(3);
        let first = moments.first().copied().unwrap();
        let at = |moment: u64| begins + Duration::from_millis(if apart { moment } else { first });
        plan.grants = moments.into_iter().map(at).collect();
        let sent = run(&plan);
        let approvals: Vec<_> = sent.iter().filter(|sent| sent.lane == Lane::Provisioning).collect();
        prop_assert_eq!(approvals.len(), 15);
        // They use the whole reserve. If two requests are in flight at once, one may be subtracted from the remaining
        // count in the response to the other although that count includes it: until its own response, for one round
        // trip.
        prop_assert!(approvals.iter().all(|sent| sent.waited() <= plan.one_way * 2), "{approvals:#?}");
        prop_assert!(sent.iter().all(|sent| sent.refused_by().is_none()));
        let (capacity, used) = window_usage(&plan, &sent);
        prop_assert!(f64::from(used) >= 0.98 * f64::from(capacity), "{used} of {capacity}");
    }
}

/// Whether a window of either bucket is about to end, or has just begun.
fn is_near_a_reset(plan: &Plan, at: Duration) -> bool {
    let latency = plan.one_way * 2;
    Bucket::ALL.iter().any(|bucket| {
        let counter = plan.model.of(*bucket);
        let left = counter.ends(counter.window(at)).saturating_sub(at);
        left < Duration::from_secs(3) + latency || left + latency > Duration::from_millis(57_800)
    })
}
