//! A request as the client makes it: through the door, there and back, and once more where it was refused.

use std::cell::RefCell;
use std::time::Duration;

use buildkite_connector::providers::buildkite::budget::{BudgetOptions, Door, LimitExceeded};
use buildkite_connector::providers::buildkite::{CallContext, Lane};
use tokio::time::{Instant, sleep};

use super::buildkite::Buildkite;
use super::dice::Dice;

/// The way to Buildkite, in milliseconds; it is as long back. A round trip is 50 ms on average.
const WAY: (u32, u32) = (15, 35);

/// A round trip, on average.
pub(crate) const ROUND_TRIP: Duration = Duration::from_millis(50);

/// Everybody who asks Buildkite through the door.
pub(crate) struct Client<'day> {
    door: &'day Door,
    pub(crate) buildkite: &'day Buildkite,
    dice: RefCell<Dice>,
}

impl<'day> Client<'day> {
    pub(crate) fn new(door: &'day Door, buildkite: &'day Buildkite, dice: Dice) -> Self {
        Self {
            door,
            buildkite,
            dice: RefCell::new(dice),
        }
    }

    /// One request on a lane, repeated if Buildkite refuses it; says how long the one that passed was under way.
    pub(crate) async fn ask(&self, lane: Lane) -> Result<Duration, LimitExceeded> {
        let options = BudgetOptions::default();
        let patience = match lane {
            Lane::Provisioning => options.provisioning_max_wait,
            Lane::Interactive | Lane::Sync => options.max_wait,
        };
        let call = CallContext::new(lane).with_deadline(Some(Instant::now() + patience));
        loop {
            let admission = self.door.enter(&call).await?;
            let sent = Instant::now();
            sleep(self.way()).await;
            let answer = self.buildkite.answer();
            sleep(self.way()).await;
            let closed = admission.answered(answer.status, &answer.headers, answer.body.as_bytes());
            if closed.is_none() {
                return Ok(sent.elapsed());
            }
        }
    }

    fn way(&self) -> Duration {
        let (least, most) = WAY;
        Duration::from_millis(self.dice.borrow_mut().between(least, most).into())
    }
}
