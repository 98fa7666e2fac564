//! A model of Buildkite's rate limits: counters of the organization and of each user with fixed windows of any alignment,
//! refused requests counted too, and the time left in whole seconds, rounded in one of three ways.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use buildkite_connector::governance::rate_limit::{Bucket, WINDOW};
use http::{HeaderMap, HeaderName, StatusCode};
use tokio::time::Instant;

use super::rng::Rng;

/// Requests that Buildkite allows the whole organization in a window.
pub(crate) const ORGANIZATION_LIMIT: u32 = 200;

/// The limit of a counter and the alignment of its windows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Windows {
    pub(crate) limit: u32,
    offset: Duration,
}

impl Windows {
    /// The number of the window at a moment of the day.
    pub(crate) fn at(self, moment: Duration) -> u32 {
        u32::try_from((moment + self.offset).as_millis() / WINDOW.as_millis()).unwrap()
    }

    pub(crate) fn begin(self, window: u32) -> Duration {
        (WINDOW * window).saturating_sub(self.offset)
    }
}

/// A request of the connector.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counted {
    pub(crate) at: Duration,
    /// The user whose token it carried.
    pub(crate) user: usize,
    pub(crate) refused_by: Option<Bucket>,
}

/// The parts of a response that concern the limits.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

/// The model and what it has counted.
#[derive(Debug)]
pub(crate) struct Buildkite {
    pub(crate) organization: Windows,
    pub(crate) users: Vec<Windows>,
    rounding: u32,
    began: Instant,
    counts: RefCell<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    /// Requests that were counted, by window.
    organization: HashMap<u32, u32>,
    users: Vec<HashMap<u32, u32>>,
    /// Accepted requests of the other consumer, by window of the organization.
    other_accepted: HashMap<u32, u32>,
    other_sent: u32,
    requests: Vec<Counted>,
}

impl Buildkite {
    /// A model with this many `users`, each with a limit of `user_limit`.
    pub(crate) fn new(users: usize, user_limit: u32, rng: &mut Rng) -> Self {
        let windows = |limit, rng: &mut Rng| Windows {
            limit,
            offset: rng.before(WINDOW),
        };
        let organization = windows(ORGANIZATION_LIMIT, rng);
        let first = windows(user_limit, rng);
        // Of another generator, so that the rest of a seed's day does not depend on the number of users.
        let mut of_others = rng.clone().fork();
        let others = (1..users).map(|_| windows(user_limit, &mut of_others));
        Self {
            organization,
            users: [first].into_iter().chain(others).collect(),
            rounding: rng.between(0, 2),
            began: Instant::now(),
            counts: RefCell::new(Counts {
                users: vec![HashMap::new(); users],
                ..Counts::default()
            }),
        }
    }

    /// The time of the day.
    pub(crate) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// A time of the day as an instant, for timers.
    pub(crate) fn instant(&self, at: Duration) -> Instant {
        self.began + at
    }

    /// Responds to one request of the connector with the token of a user.
    pub(crate) fn respond(&self, user: usize) -> Response {
        let user_windows = self.users[user];
        let at = self.now();
        let mut counts = self.counts.borrow_mut();
        let mut headers = HeaderMap::new();
        let organization = count(&mut counts.organization, self.organization.at(at));
        let by_user = count(&mut counts.users[user], user_windows.at(at));
        let mut refused_by = None;
        for (bucket, windows, used) in [
            (Bucket::User, user_windows, by_user),
            (Bucket::Organization, self.organization, organization),
        ] {
            let values = [
                i64::from(windows.limit),
                i64::from(windows.limit) - i64::from(used),
                self.reset(windows, at),
            ];
            headers.extend(
                names(bucket)
                    .map(HeaderName::from_static)
                    .into_iter()
                    .zip(values.map(Into::into)),
            );
            if used > windows.limit {
                refused_by = Some(bucket);
            }
        }
        counts.requests.push(Counted { at, user, refused_by });
        Response {
            status: refused_by.map_or(StatusCode::OK, |_| StatusCode::TOO_MANY_REQUESTS),
            headers,
            body: refused_by.map_or_else(String::new, |bucket| format!(r#"{{"scope":"{}"}}"#, bucket.as_str())),
        }
    }

    /// Counts one request of another consumer in the organization.
    pub(crate) fn count_other(&self) {
        let mut counts = self.counts.borrow_mut();
        let window = self.organization.at(self.now());
        counts.other_sent += 1;
        if count(&mut counts.organization, window) <= self.organization.limit {
            count(&mut counts.other_accepted, window);
        }
    }

    /// All requests of the connector, in order.
    pub(crate) fn requests(&self) -> Vec<Counted> {
        self.counts.borrow().requests.clone()
    }

    /// Accepted requests of the other consumer in a window of the organization.
    pub(crate) fn other_accepted(&self, window: u32) -> u32 {
        self.counts
            .borrow()
            .other_accepted
            .get(&window)
            .copied()
            .unwrap_or_default()
    }

    /// The share of the other consumer's requests that was accepted; `None` without another consumer.
    pub(crate) fn other_share(&self) -> Option<f64> {
        let counts = self.counts.borrow();
        let accepted: u32 = counts.other_accepted.values().sum();
        (counts.other_sent > 0).then(|| f64::from(accepted) / f64::from(counts.other_sent))
    }

    fn reset(&self, windows: Windows, at: Duration) -> i64 {
        let left = windows.begin(windows.at(at) + 1).saturating_sub(at).as_millis();
        let up = match self.rounding {
            0 => 0,
            1 => 500,
            _ => 999,
        };
        i64::try_from((left + up) / 1_000).unwrap()
    }
}

fn count(used: &mut HashMap<u32, u32>, window: u32) -> u32 {
    let used = used.entry(window).or_default();
    *used += 1;
    *used
}

fn names(bucket: Bucket) -> [&'static str; 3] {
    match bucket {
        Bucket::Organization => ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"],
        Bucket::User => [
            "ratelimit-user-limit",
            "ratelimit-user-remaining",
            "ratelimit-user-reset",
        ],
    }
}
