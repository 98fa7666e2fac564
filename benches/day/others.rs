//! Another consumer in the organization: it wants half of each of its windows, in bursts at random moments.

use std::time::Duration;

use buildkite_connector::providers::buildkite::budget::WINDOW;
use tokio::time::sleep_until;

use super::DAY;
use super::buildkite::{Buildkite, ORGANIZATION_LIMIT};
use super::dice::Dice;

/// Requests in one burst.
const BURST: (u32, u32) = (1, 20);

pub(crate) async fn run(buildkite: &Buildkite, beside: bool, mut dice: Dice) {
    // The first whole one: what is left of the one before it is nobody else's.
    let mut window = 1;
    while beside && buildkite.organization.begin(window) < DAY {
        for (at, requests) in bursts(buildkite.organization.begin(window), &mut dice) {
            sleep_until(buildkite.moment(at)).await;
            (0..requests).for_each(|_| buildkite.answer_another());
        }
        window += 1;
    }
}

fn bursts(begin: Duration, dice: &mut Dice) -> Vec<(Duration, u32)> {
    let (least, most) = BURST;
    let mut left = ORGANIZATION_LIMIT / 2;
    let mut bursts = Vec::new();
    while left > 0 {
        let requests = dice.between(least, most).min(left);
        bursts.push((begin + dice.before(WINDOW), requests));
        left -= requests;
    }
    bursts.sort_unstable();
    bursts
}
