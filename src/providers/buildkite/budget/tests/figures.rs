//! The duration of a sync of 250 teams at Buildkite's default limits, against the shortest possible one.

use std::time::Duration;

use futures::future::join_all;
use http::StatusCode;
use rstest::rstest;
use tokio::time::{Instant, sleep_until};

use super::model::Rounding;
use super::server::Server;
use crate::governance::{CallContext, Lane};
use crate::providers::buildkite::budget::{BudgetOptions, RateLimiter};

/// One per team, and a few for the lists of teams and members.
const REQUESTS: u32 = 255;

const LATENCY: Duration = Duration::from_millis(50);

/// The shortest time for sequential requests by a client that knows the windows.
fn shortest_time(requests: u32, offset: Duration) -> Duration {
    let minute = Duration::from_secs(60);
    let (mut now, mut window, mut used) = (offset, 0, 0);
    for _ in 0..requests {
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
async fn a_sync_of_250_teams_ends_within_two_percent_of_the_shortest_time(
    #[values(Rounding::Floor, Rounding::Ceil, Rounding::Nearest)] rounding: Rounding,
    #[values(0, 7_300, 23_900, 41_050, 55_500, 59_990)] offset: u64,
) {
    let offset = Duration::from_millis(offset);
    let server = Server::new(offset, rounding);
    let limiter = RateLimiter::new(BudgetOptions::default());
    let began = Instant::now();
    let mut sent = 0;
    let mut forecast = None;
    while sent < REQUESTS {
        match server.send(&limiter, &CallContext::new(Lane::Sync)).await {
            Ok(status) => {
                assert_eq!(status, StatusCode::OK, "request {sent}, {:?} on", began.elapsed());
                sent += 1;
            }
            // A platform waits until the reported reset and retries.
            Err(limit) => sleep_until(limit.retry_at.unwrap()).await,
        }
        if sent == 1 {
            forecast = limiter.forecast(Lane::Sync, REQUESTS - 1);
        }
    }
    let (took, shortest) = (began.elapsed(), shortest_time(REQUESTS, offset));
    let forecast = forecast.unwrap() - began;
    let figures = format!("took {took:?}, shortest {shortest:?}, forecast {forecast:?}");
    assert!(took <= shortest.mul_f64(1.02), "{figures}");
    assert!(forecast.abs_diff(took) <= took.mul_f64(0.02), "{figures}");
}

/// Revokes during the sync.
const APPROVALS: u32 = 5;
/// Sequential requests of one revoke.
const REQUESTS_PER_APPROVAL: u32 = 3;

#[rstest]
#[tokio::test(start_paused = true)]
async fn five_approvals_in_its_second_window_do_not_wait_and_delay_a_sync_by_their_own_requests_only(
    #[values(Rounding::Floor, Rounding::Ceil, Rounding::Nearest)] rounding: Rounding,
    #[values(0, 7_300, 23_900, 41_050, 55_500, 59_990)] offset: u64,
) {
    let offset = Duration::from_millis(offset);
    let server = Server::new(offset, rounding);
    let limiter = RateLimiter::new(BudgetOptions::default());
    let began = Instant::now();
    let second = began + Duration::from_secs(60).saturating_sub(offset);
    let sync = async {
        for _ in 0..REQUESTS {
            while let Err(limit) = server.send(&limiter, &CallContext::new(Lane::Sync)).await {
                sleep_until(limit.retry_at.unwrap()).await;
            }
        }
        began.elapsed()
    };
    let approval = async |number: u32| {
        // Long after the sync has used its part of the window.
        sleep_until(second + Duration::from_secs(10 + 9 * u64::from(number))).await;
        let approval = CallContext::new(Lane::Provisioning);
        for _ in 0..REQUESTS_PER_APPROVAL {
            assert_eq!(server.send(&limiter, &approval).await, Ok(StatusCode::OK));
        }
        approval.stats().waited
    };
    let (took, waited) = futures::join!(sync, join_all((0..APPROVALS).map(approval)));
    assert_eq!(waited, [Duration::ZERO; APPROVALS as usize]);
    let shortest = shortest_time(REQUESTS + APPROVALS * REQUESTS_PER_APPROVAL, offset);
    assert!(took <= shortest.mul_f64(1.02), "took {took:?}, shortest {shortest:?}");
}
