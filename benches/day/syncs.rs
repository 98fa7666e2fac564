//! Syncs: one within the first minute of each half hour, or as soon as the last has ended.

use std::cell::RefCell;
use std::ops::Range;
use std::time::Duration;

use buildkite_connector::providers::buildkite::Lane;
use buildkite_connector::providers::buildkite::budget::WINDOW;
use buildkite_connector::providers::buildkite::pagination::Window;
use futures::future::join_all;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::DAY;
use super::client::Client;
use super::dice::Dice;

/// From the beginning of one sync to that of the next.
const EVERY: Duration = Duration::from_secs(30 * 60);

/// Requests of a sync at once.
pub(crate) const AT_ONCE: usize = 16;

/// What there is to read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Organization {
    pub(crate) teams: u32,
    /// Of each team.
    pub(crate) members: u32,
    pub(crate) people: u32,
}

/// One sync that came to its end.
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

/// When they are due. Within a minute, since windows are a minute long: they are met at any moment of theirs.
pub(crate) fn due(dice: &mut Dice) -> Vec<Duration> {
    let half_hours = DAY.as_secs() / EVERY.as_secs();
    (0..u32::try_from(half_hours).unwrap())
        .map(|number| EVERY * number + dice.before(WINDOW))
        .collect()
}

pub(crate) async fn run(client: &Client<'_>, organization: Organization, due: Vec<Duration>) -> Vec<Synced> {
    let buildkite = client.buildkite;
    let mut synced = Vec::new();
    for due in due {
        // One that is due while another is under way begins when that one ends; a second one is left out.
        if due + EVERY <= buildkite.now() {
            continue;
        }
        sleep_until(buildkite.moment(due)).await;
        let began = buildkite.now();
        let by = buildkite.moment(DAY);
        if timeout_at(by, sync(client, organization)).await.is_err() {
            break;
        }
        let ended = buildkite.now();
        synced.push(Synced { began, ended });
    }
    synced
}

/// The people, the teams, then the members of each team.
async fn sync(client: &Client<'_>, organization: Organization) {
    for rows in [organization.people, organization.teams] {
        // The first window tells how many follow.
        read(client).await;
        at_once(client, windows(rows) - 1, 1).await;
    }
    at_once(client, organization.teams, windows(organization.members)).await;
}

/// So many lists of so many requests each, which are made one after the other.
async fn at_once(client: &Client<'_>, lists: u32, requests: u32) {
    let lists = RefCell::new(0..lists);
    let reader = || async {
        while has_next(&lists) {
            for _ in 0..requests {
                read(client).await;
            }
        }
    };
    // So few are polled in their order, whoever was woken first: a seed's day is always the same.
    join_all((0..AT_ONCE).map(|_| reader())).await;
}

fn has_next(lists: &RefCell<Range<u32>>) -> bool {
    lists.borrow_mut().next().is_some()
}

/// One request. Where the door says that it would be too long a wait, the platform waits for as long as it is told to.
async fn read(client: &Client<'_>) {
    while let Err(closed) = client.ask(Lane::Sync).await {
        sleep_until(closed.retry_at.unwrap_or_else(Instant::now)).await;
    }
}

/// How many overlapping windows a list takes.
fn windows(rows: u32) -> u32 {
    let (mut covered, mut windows) = (0, 0);
    while covered < rows {
        let window = Window::furthest(covered, Window::LARGEST).unwrap();
        covered = window.offset() + window.per_page;
        windows += 1;
    }
    windows
}
