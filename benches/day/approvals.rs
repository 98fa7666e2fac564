//! Approvals: grants and revokes, at any moment of the day.

use std::time::Duration;

use buildkite_connector::providers::buildkite::Lane;
use buildkite_connector::providers::buildkite::budget::LimitExceeded;
use futures::future::join_all;
use tokio::time::sleep_until;

use super::DAY;
use super::client::Client;
use super::dice::Dice;

/// In a day.
const APPROVALS: u32 = 200;

/// One approval to come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    at: Duration,
    /// Two for a grant, three for a revoke; one after the other.
    requests: u32,
}

/// What became of one: how long its requests waited for their turns, without the time that they were under way.
pub(crate) type Waited = Result<Duration, LimitExceeded>;

pub(crate) fn arrivals(dice: &mut Dice) -> Vec<Arrival> {
    let arrival = |_| Arrival {
        at: dice.before(DAY),
        requests: dice.between(2, 3),
    };
    (0..APPROVALS).map(arrival).collect()
}

pub(crate) async fn run(client: &Client<'_>, arrivals: &[Arrival]) -> Vec<Waited> {
    join_all(arrivals.iter().map(|arrival| carry_out(client, *arrival))).await
}

async fn carry_out(client: &Client<'_>, arrival: Arrival) -> Waited {
    sleep_until(client.buildkite.moment(arrival.at)).await;
    let mut under_way = Duration::ZERO;
    for _ in 0..arrival.requests {
        under_way += client.ask(Lane::Provisioning).await?;
    }
    Ok(client.buildkite.now().saturating_sub(arrival.at + under_way))
}
