//! With other consumers: a 429 blocks the bucket at once, and until the window has ended.

use std::time::Duration;

use proptest::prelude::*;

use super::model::{Counter, Model, Rounding};
use super::simulation::{Plan, SimulatedRequest, run, saturated};
use crate::governance::rate_limit::Bucket;

fn others() -> impl Strategy<Value = Vec<(Duration, Bucket, u32)>> {
    let bucket = prop_oneof![Just(Bucket::Organization), Just(Bucket::User)];
    let consumption = (0_u64..250_000, bucket, 1_u32..60)
        .prop_map(|(at, bucket, requests)| (Duration::from_millis(at), bucket, requests));
    proptest::collection::vec(consumption, 1..80)
}

#[test]
fn a_single_probe_finds_out_that_other_consumers_used_the_reserve() {
    let counter = |limit| Counter::new(limit, Duration::ZERO, Rounding::Floor);
    let model = Model {
        organization: counter(200),
        user: counter(50),
    };
    // Half a minute after the syncs used up their part, another consumer takes the reserve.
    let others = (0..5).map(|minute| (Duration::from_secs(minute * 60 + 30), Bucket::User, 15));
    let sent = run(&Plan {
        model,
        other_consumers: others.collect(),
        seed: 1,
        one_way: Duration::from_millis(50),
        lost: 0,
        silent: 0,
        change: |_, headers| headers,
        syncs: 20,
        grants: Vec::new(),
        requests_per_grant: 1,
        until: Duration::from_secs(250),
    });
    let refused_in = |window| {
        let refused = sent.iter().filter_map(SimulatedRequest::refused_by);
        refused.filter(|(_, counted)| counted.window == window).count()
    };
    // Window 0 is left out: in it the other consumer has not been observed yet.
    assert_eq!([1, 2, 3].map(refused_in), [1, 1, 1]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn nothing_is_sent_into_a_window_after_its_429(plan in saturated(), one_way in 0_u64..6_000, others in others()) {
        let plan = Plan { one_way: Duration::from_millis(one_way), other_consumers: others, ..plan };
        let sent = run(&plan);
        for refused in &sent {
            let (Some((_, counted)), Some(seen)) = (refused.refused_by(), refused.answered_at) else { continue };
            let inside = sent.iter().find(|sent| sent.sent_at > seen && sent.sent_at < counted.ends);
            prop_assert!(inside.is_none(), "{inside:?} after {refused:?}");
        }
    }

    #[test]
    fn what_other_consumers_leave_is_used(plan in saturated(), others in others()) {
        let plan = Plan { other_consumers: others.into_iter().map(|(at, bucket, _)| (at, bucket, 1)).collect(), ..plan };
        let sent = run(&plan);
        let counter = [&plan.model.user, &plan.model.organization].into_iter().min_by_key(|counter| counter.limit).unwrap();
        let whole = u32::try_from(counter.window(plan.until) - counter.window(Duration::ZERO)).unwrap() - 1;
        let capacity = (whole * counter.limit).saturating_sub(u32::try_from(plan.other_consumers.len()).unwrap());
        let passed = u32::try_from(sent.iter().filter(|sent| sent.refused_by().is_none()).count()).unwrap();
        prop_assert!(f64::from(passed) >= 0.9 * f64::from(capacity), "{passed} of {capacity}");
    }
}
