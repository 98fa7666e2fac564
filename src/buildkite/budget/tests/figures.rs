//! The figure that the budget is for: a sync of 250 teams at Buildkite's default limits.

use std::time::Duration;

use http::StatusCode;
use rstest::rstest;
use tokio::time::{Instant, sleep_until};

use super::model::Rounding;
use super::server::Server;
use crate::buildkite::budget::{BudgetOptions, Door};
use crate::buildkite::call::{Call, Lane};

/// One a team, and a few for the lists of teams and people.
const REQUESTS: u32 = 255;

const LATENCY: Duration = Duration::from_millis(50);

/// What somebody needs who knows the windows, and sends one request after the other.
fn possible(offset: Duration) -> Duration {
    let minute = Duration::from_secs(60);
    let (mut now, mut window, mut used) = (offset, 0, 0);
    for _ in 0..REQUESTS {
        let counted = now + LATENCY / 2;
        let current = counted.as_nanos() / minute.as_nanos();
        if current != window {
            (window, used) = (current, 0);
        }
        if used == 50 {
            (window, used) = (window + 1, 0);
            now = minute * u32::try_from(window).unwrap();
        }
        used += 1;
        now += LATENCY;
    }
    now.saturating_sub(offset)
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn a_sync_of_250_teams_ends_within_two_percent_of_the_possible_time(
    #[values(Rounding::Floor, Rounding::Ceil, Rounding::Nearest)] rounding: Rounding,
    #[values(0, 7_300, 23_900, 41_050, 55_500, 59_990)] offset: u64,
) {
    let offset = Duration::from_millis(offset);
    let server = Server::new(offset, rounding);
    let door = Door::new(BudgetOptions::default());
    let began = Instant::now();
    let mut sent = 0;
    let mut forecast = None;
    while sent < REQUESTS {
        match server.ask(&door, &Call::new(Lane::Sync)).await {
            Ok(status) => {
                assert_eq!(status, StatusCode::OK, "request {sent}, {:?} on", began.elapsed());
                sent += 1;
            }
            // A platform waits for the reset that it is told of, and asks again.
            Err(closed) => sleep_until(closed.opens_at.unwrap()).await,
        }
        if sent == 1 {
            forecast = door.forecast(Lane::Sync, REQUESTS - 1);
        }
    }
    let (took, possible) = (began.elapsed(), possible(offset));
    let forecast = forecast.unwrap() - began;
    let figures = format!("took {took:?}, possible {possible:?}, forecast {forecast:?}");
    assert!(took <= possible.mul_f64(1.02), "{figures}");
    assert!(forecast.abs_diff(took) <= took.mul_f64(0.02), "{figures}");
}
