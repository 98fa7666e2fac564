//! Approvals: grants and revokes, at any moment of the day.

use std::time::Duration;

use buildkite_connector::governance::Lane;
use buildkite_connector::governance::rate_limit::LimitExceeded;
use futures::future::join_all;
use tokio::time::sleep_until;

use super::DAY;
use super::client::Client;
use super::rng::Rng;

/// Approvals in a day.
const APPROVALS: u32 = 200;

/// An approval that arrives during the day.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    at: Duration,
    /// Two sequential requests for a grant, three for a revoke.
    requests: u32,
}

/// How long an approval's requests waited for their permits, without the time that they were in flight.
pub(crate) type Waited = Result<Duration, LimitExceeded>;

pub(crate) fn arrivals(rng: &mut Rng) -> Vec<Arrival> {
    let arrival = |_| Arrival {
        at: rng.before(DAY),
        requests: rng.between(2, 3),
    };
    (0..APPROVALS).map(arrival).collect()
}

pub(crate) async fn run(client: &Client<'_>, arrivals: &[Arrival]) -> Vec<Waited> {
    join_all(arrivals.iter().map(|arrival| approve(client, *arrival))).await
}

async fn approve(client: &Client<'_>, arrival: Arrival) -> Waited {
    sleep_until(client.buildkite.instant(arrival.at)).await;
    let mut in_flight = Duration::ZERO;
    for _ in 0..arrival.requests {
        in_flight += client.send(Lane::Provisioning).await?;
    }
    Ok(client.buildkite.now().saturating_sub(arrival.at + in_flight))
}
