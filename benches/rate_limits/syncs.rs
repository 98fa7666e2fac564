//! Syncs: one in the first minute of each half hour, or as soon as the previous one has ended.

use std::cell::RefCell;
use std::ops::Range;
use std::time::Duration;

use buildkite_connector::governance::Lane;
use buildkite_connector::governance::rate_limit::WINDOW;
use buildkite_connector::providers::buildkite::pagination::Window;
use futures::future::join_all;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::DAY;
use super::client::Client;
use super::rng::Rng;

/// The time between the starts of two syncs.
const INTERVAL: Duration = Duration::from_secs(30 * 60);

/// Concurrent requests of a sync.
pub(crate) const CONCURRENCY: usize = 16;

/// The size of the organization that is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Organization {
    pub(crate) teams: u32,
    /// Members of each team.
    pub(crate) team_members: u32,
    pub(crate) members: u32,
}

/// A completed sync.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Synced {
    pub(crate) began: Duration,
    pub(crate) ended: Duration,
}

impl Synced {
    pub(crate) fn took(&self) -> Duration {
        self.ended.saturating_sub(self.began)
    }
}

/// When syncs are due. Each is shifted by up to a minute, the length of a window, so it starts at a random time of a
/// window.
pub(crate) fn due(rng: &mut Rng) -> Vec<Duration> {
    let half_hours = DAY.as_secs() / INTERVAL.as_secs();
    (0..u32::try_from(half_hours).unwrap())
        .map(|number| INTERVAL * number + rng.before(WINDOW))
        .collect()
}

pub(crate) async fn run(client: &Client<'_>, organization: Organization, due: Vec<Duration>) -> Vec<Synced> {
    let buildkite = client.buildkite;
    let mut synced = Vec::new();
    for due in due {
        // A sync that is due while another runs starts when that one ends; a second one is skipped.
        if due + INTERVAL <= buildkite.now() {
            continue;
        }
        sleep_until(buildkite.instant(due)).await;
        let began = buildkite.now();
        let by = buildkite.instant(DAY);
        if timeout_at(by, sync(client, organization)).await.is_err() {
            break;
        }
        let ended = buildkite.now();
        synced.push(Synced { began, ended });
    }
    synced
}

/// Reads the organization's members, the teams, then the members of each team.
async fn sync(client: &Client<'_>, organization: Organization) {
    for rows in [organization.members, organization.teams] {
        // The first page shows how many follow.
        read(client).await;
        read_lists(client, windows(rows) - 1, 1).await;
    }
    read_lists(client, organization.teams, windows(organization.team_members)).await;
}

/// Reads `lists` concurrently, each with `requests` sequential requests.
async fn read_lists(client: &Client<'_>, lists: u32, requests: u32) {
    let lists = RefCell::new(0..lists);
    let reader = || async {
        while has_next(&lists) {
            for _ in 0..requests {
                read(client).await;
            }
        }
    };
    // `join_all` polls this few futures in order, regardless of which was woken first, so a seed's day is reproducible.
    join_all((0..CONCURRENCY).map(|_| reader())).await;
}

fn has_next(lists: &RefCell<Range<u32>>) -> bool {
    lists.borrow_mut().next().is_some()
}

/// Sends one request. If the limiter rejects it, the platform retries at the time that the limiter reports.
async fn read(client: &Client<'_>) {
    while let Err(limit) = client.send(Lane::Sync).await {
        sleep_until(limit.retry_at.unwrap_or_else(Instant::now)).await;
    }
}

/// How many overlapping pages a list takes.
fn windows(rows: u32) -> u32 {
    let (mut covered, mut windows) = (0, 0);
    while covered < rows {
        let window = Window::next_overlapping(covered, Window::LARGEST).unwrap();
        covered = window.offset() + window.per_page;
        windows += 1;
    }
    windows
}
