//! Impossible and wrong headers are harmless.

use std::time::Duration;

use proptest::prelude::*;

use super::simulation::{Change, Plan, Rng, SimulatedRequest, run, saturated};
use crate::providers::buildkite::budget::LimitHeaders;

/// Replaces or removes one of the values now and then. The remaining count is never too high: no client could stay
/// below a limit whose counter reports too much.
fn strange(rng: &mut Rng, mut headers: LimitHeaders) -> LimitHeaders {
    if rng.below(2) == 0 {
        return headers;
    }
    match rng.below(3) {
        0 => headers.limit = [None, Some(0), Some(-5), Some(i64::MAX), Some(i64::MIN)][index(rng, 5)],
        1 => headers.remaining = [None, Some(-14), Some(i64::MIN), Some(0), Some(i64::MAX)][index(rng, 5)],
        _ => {
            headers.reset = [None, Some(-1), Some(61), Some(604_800), Some(i64::MAX), Some(i64::MIN)][index(rng, 6)];
        }
    }
    headers
}

fn index(rng: &mut Rng, len: u64) -> usize {
    usize::try_from(rng.below(len)).unwrap()
}

fn longest_pause(sent: &[SimulatedRequest]) -> Duration {
    let pauses = sent
        .windows(2)
        .map(|pair| pair[1].sent_at.saturating_sub(pair[0].sent_at));
    pauses.max().unwrap_or_default()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn strange_values_neither_exceed_a_limit_nor_block(plan in saturated()) {
        let plan = Plan { change: strange, ..plan };
        let sent = run(&plan);
        let refused: Vec<_> = sent.iter().filter(|sent| sent.refused_by().is_some()).collect();
        prop_assert!(refused.is_empty(), "{refused:#?}");
        let longest = longest_pause(&sent);
        prop_assert!(longest <= Duration::from_secs(61) + plan.one_way * 2, "nothing was sent for {longest:?}");
    }

    #[test]
    fn a_header_that_is_always_strange_neither_exceeds_a_limit_nor_blocks(plan in saturated(), which in 0_usize..5) {
        let change: [Change; 5] = [
            |_, headers| LimitHeaders { reset: None, ..headers },
            |_, headers| LimitHeaders { reset: Some(60), ..headers },
            |_, headers| LimitHeaders { reset: Some(i64::MAX), ..headers },
            |_, headers| LimitHeaders { limit: None, ..headers },
            |_, headers| LimitHeaders { limit: Some(0), ..headers },
        ];
        let plan = Plan { change: change[which], ..plan };
        let sent = run(&plan);
        let refused: Vec<_> = sent.iter().filter(|sent| sent.refused_by().is_some()).collect();
        prop_assert!(refused.is_empty(), "{} refused, first {:?}", refused.len(), refused.first());
        let longest = longest_pause(&sent);
        prop_assert!(longest <= Duration::from_secs(61) + plan.one_way * 2, "nothing was sent for {longest:?}");
    }

    /// A wrong reset cannot be distinguished from a right one before a 429 shows it. That costs a few requests a
    /// window, and no whole window.
    #[test]
    fn a_reset_that_is_always_too_short_costs_little(plan in saturated(), seconds in 0_i64..3) {
        let change: [Change; 3] = [
            |_, headers| LimitHeaders { reset: Some(0), ..headers },
            |_, headers| LimitHeaders { reset: Some(1), ..headers },
            |_, headers| LimitHeaders { reset: Some(2), ..headers },
        ];
        let plan = Plan { change: change[usize::try_from(seconds).unwrap()], ..plan };
        let sent = run(&plan);
        let refused = sent.iter().filter(|sent| sent.refused_by().is_some()).count();
        prop_assert!(refused <= 12 * 5, "{refused} refused");
        let longest = longest_pause(&sent);
        prop_assert!(longest <= Duration::from_secs(61) + plan.one_way * 2, "nothing was sent for {longest:?}");
    }
}
