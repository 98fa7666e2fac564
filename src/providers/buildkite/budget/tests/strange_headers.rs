//! Headers that say what no window can, or what is not so: they do no harm.

use std::time::Duration;

use proptest::prelude::*;

use super::simulation::{Change, Dice, Plan, Sent, run, saturated};
use crate::providers::buildkite::budget::Reading;

/// Any of the values is something else, or missing, now and then. What is left is never told too high: of a counter that
/// lies in our favour nobody could keep clear.
fn strange(dice: &mut Dice, mut reading: Reading) -> Reading {
    if dice.roll(2) == 0 {
        return reading;
    }
    match dice.roll(3) {
        0 => reading.limit = [None, Some(0), Some(-5), Some(i64::MAX), Some(i64::MIN)][index(dice, 5)],
        1 => reading.remaining = [None, Some(-14), Some(i64::MIN), Some(0), Some(i64::MAX)][index(dice, 5)],
        _ => {
            reading.reset = [None, Some(-1), Some(61), Some(604_800), Some(i64::MAX), Some(i64::MIN)][index(dice, 6)];
        }
    }
    reading
}

fn index(dice: &mut Dice, of: u64) -> usize {
    usize::try_from(dice.roll(of)).unwrap()
}

fn longest_silence(sent: &[Sent]) -> Duration {
    let pauses = sent.windows(2).map(|pair| pair[1].left.saturating_sub(pair[0].left));
    pauses.max().unwrap_or_default()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn strange_values_neither_overdraw_nor_block(plan in saturated()) {
        let plan = Plan { change: strange, ..plan };
        let sent = run(&plan);
        let refused: Vec<_> = sent.iter().filter(|sent| sent.refused_by().is_some()).collect();
        prop_assert!(refused.is_empty(), "{refused:#?}");
        let longest = longest_silence(&sent);
        prop_assert!(longest <= Duration::from_secs(61) + plan.way * 2, "nothing was sent for {longest:?}");
    }

    #[test]
    fn a_header_that_is_always_strange_neither_overdraws_nor_blocks(plan in saturated(), which in 0_usize..5) {
        let change: [Change; 5] = [
            |_, reading| Reading { reset: None, ..reading },
            |_, reading| Reading { reset: Some(60), ..reading },
            |_, reading| Reading { reset: Some(i64::MAX), ..reading },
            |_, reading| Reading { limit: None, ..reading },
            |_, reading| Reading { limit: Some(0), ..reading },
        ];
        let plan = Plan { change: change[which], ..plan };
        let sent = run(&plan);
        let refused: Vec<_> = sent.iter().filter(|sent| sent.refused_by().is_some()).collect();
        prop_assert!(refused.is_empty(), "{} refused, first {:?}", refused.len(), refused.first());
        let longest = longest_silence(&sent);
        prop_assert!(longest <= Duration::from_secs(61) + plan.way * 2, "nothing was sent for {longest:?}");
    }

    /// Nobody can tell a reset that is wrong from one that is right before a refusal shows it: that costs a handful of
    /// requests a window, and no window.
    #[test]
    fn a_reset_that_is_always_told_too_short_costs_little(plan in saturated(), seconds in 0_i64..3) {
        let change: [Change; 3] = [
            |_, reading| Reading { reset: Some(0), ..reading },
            |_, reading| Reading { reset: Some(1), ..reading },
            |_, reading| Reading { reset: Some(2), ..reading },
        ];
        let plan = Plan { change: change[usize::try_from(seconds).unwrap()], ..plan };
        let sent = run(&plan);
        let refused = sent.iter().filter(|sent| sent.refused_by().is_some()).count();
        prop_assert!(refused <= 12 * 5, "{refused} refused");
        let longest = longest_silence(&sent);
        prop_assert!(longest <= Duration::from_secs(61) + plan.way * 2, "nothing was sent for {longest:?}");
    }
}
