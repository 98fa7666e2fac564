//! A request as the client sends it: through the rate limiter, to Buildkite and back, and again after a 429.

use std::cell::RefCell;
use std::time::Duration;

use buildkite_connector::governance::rate_limit::LimitExceeded;
use buildkite_connector::governance::{CallContext, Lane};
use buildkite_connector::providers::buildkite::budget::{BudgetOptions, RateLimiter};
use tokio::time::{Instant, sleep};

use super::buildkite::Buildkite;
use super::rng::Rng;

/// Latency to Buildkite, and back, in milliseconds. A round trip is 50 ms on average.
const ONE_WAY: (u32, u32) = (15, 35);

/// The average round trip.
pub(crate) const ROUND_TRIP: Duration = Duration::from_millis(50);

/// Sends requests to Buildkite through the rate limiter.
pub(crate) struct Client<'day> {
    limiter: &'day RateLimiter,
    pub(crate) buildkite: &'day Buildkite,
    rng: RefCell<Rng>,
}

impl<'day> Client<'day> {
    pub(crate) fn new(limiter: &'day RateLimiter, buildkite: &'day Buildkite, rng: Rng) -> Self {
        Self {
            limiter,
            buildkite,
            rng: RefCell::new(rng),
        }
    }

    /// Sends one request of a lane, and again after a 429. Returns how long the accepted one was in flight.
    pub(crate) async fn send(&self, lane: Lane) -> Result<Duration, LimitExceeded> {
        let options = BudgetOptions::default();
        let max_wait = match lane {
            Lane::Provisioning => options.provisioning_max_wait,
            Lane::Interactive | Lane::Sync => options.max_wait,
        };
        let call = CallContext::new(lane).with_deadline(Some(Instant::now() + max_wait));
        loop {
            let permit = self.limiter.acquire(&call).await?;
            let sent_at = Instant::now();
            sleep(self.one_way()).await;
            let response = self.buildkite.respond(permit.credential());
            sleep(self.one_way()).await;
            let limit = permit.complete(response.status, &response.headers, response.body.as_bytes());
            if limit.is_none() {
                return Ok(sent_at.elapsed());
            }
        }
    }

    fn one_way(&self) -> Duration {
        let (min, max) = ONE_WAY;
        Duration::from_millis(self.rng.borrow_mut().between(min, max).into())
    }
}
