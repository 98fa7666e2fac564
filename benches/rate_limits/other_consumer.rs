//! Another consumer in the organization, which wants half of each of its windows, in bursts at random times.

use std::time::Duration;

use buildkite_connector::governance::rate_limit::WINDOW;
use tokio::time::sleep_until;

use super::DAY;
use super::buildkite::{Buildkite, ORGANIZATION_LIMIT};
use super::rng::Rng;

/// Requests in one burst.
const BURST: (u32, u32) = (1, 20);

pub(crate) async fn run(buildkite: &Buildkite, is_present: bool, mut rng: Rng) {
    // The first whole window; the partial one before it is left to the connector.
    let mut window = 1;
    while is_present && buildkite.organization.begin(window) < DAY {
        for (at, requests) in bursts(buildkite.organization.begin(window), &mut rng) {
            sleep_until(buildkite.instant(at)).await;
            (0..requests).for_each(|_| buildkite.count_other());
        }
        window += 1;
    }
}

fn bursts(begin: Duration, rng: &mut Rng) -> Vec<(Duration, u32)> {
    let (min, max) = BURST;
    let mut left = ORGANIZATION_LIMIT / 2;
    let mut bursts = Vec::new();
    while left > 0 {
        let requests = rng.between(min, max).min(left);
        bursts.push((begin + rng.before(WINDOW), requests));
        left -= requests;
    }
    bursts.sort_unstable();
    bursts
}
