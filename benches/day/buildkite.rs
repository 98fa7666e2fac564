//! Buildkite as far as its rate limits go: two counters with fixed windows that lie anywhere, refused requests counted too,
//! and the time left told in whole seconds, rounded in one of three ways.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use buildkite_connector::providers::buildkite::budget::{Bucket, WINDOW};
use http::{HeaderMap, HeaderName, StatusCode};
use tokio::time::Instant;

use super::dice::Dice;

/// What Buildkite allows the whole organization.
pub(crate) const ORGANIZATION_LIMIT: u32 = 200;

/// Where the windows of a counter lie.
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

/// A request of ours.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counted {
    pub(crate) at: Duration,
    pub(crate) refused_by: Option<Bucket>,
}

/// The answer to a request, as far as it is about limits.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

/// The model, and what it saw.
#[derive(Debug)]
pub(crate) struct Buildkite {
    pub(crate) organization: Windows,
    pub(crate) user: Windows,
    rounding: u32,
    began: Instant,
    seen: RefCell<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// By window, all that was counted in it.
    organization: HashMap<u32, u32>,
    user: HashMap<u32, u32>,
    /// By window of the organization, what others sent and had answered.
    others: HashMap<u32, u32>,
    others_sent: u32,
    ours: Vec<Counted>,
}

impl Buildkite {
    pub(crate) fn new(user_limit: u32, dice: &mut Dice) -> Self {
        let mut windows = |limit| Windows {
            limit,
            offset: dice.before(WINDOW),
        };
        Self {
            organization: windows(ORGANIZATION_LIMIT),
            user: windows(user_limit),
            rounding: dice.between(0, 2),
            began: Instant::now(),
            seen: RefCell::default(),
        }
    }

    /// The moment of the day.
    pub(crate) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// A moment of the day, for timers.
    pub(crate) fn moment(&self, at: Duration) -> Instant {
        self.began + at
    }

    /// One request of ours.
    pub(crate) fn answer(&self) -> Answer {
        let at = self.now();
        let mut seen = self.seen.borrow_mut();
        let mut headers = HeaderMap::new();
        let organization = count(&mut seen.organization, self.organization.at(at));
        let user = count(&mut seen.user, self.user.at(at));
        let mut refused_by = None;
        for (bucket, windows, used) in [
            (Bucket::User, self.user, user),
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
        seen.ours.push(Counted { at, refused_by });
        Answer {
            status: refused_by.map_or(StatusCode::OK, |_| StatusCode::TOO_MANY_REQUESTS),
            headers,
            body: refused_by.map_or_else(String::new, |bucket| format!(r#"{{"scope":"{}"}}"#, bucket.as_str())),
        }
    }

    /// One request of somebody else in the organization.
    pub(crate) fn answer_another(&self) {
        let mut seen = self.seen.borrow_mut();
        let window = self.organization.at(self.now());
        seen.others_sent += 1;
        if count(&mut seen.organization, window) <= self.organization.limit {
            count(&mut seen.others, window);
        }
    }

    /// All requests of ours, in order.
    pub(crate) fn ours(&self) -> Vec<Counted> {
        self.seen.borrow().ours.clone()
    }

    /// What others had of a window of the organization.
    pub(crate) fn others_had(&self, window: u32) -> u32 {
        self.seen.borrow().others.get(&window).copied().unwrap_or_default()
    }

    /// The share of others' requests that was not refused; none where there was nobody else.
    pub(crate) fn others_share(&self) -> Option<f64> {
        let seen = self.seen.borrow();
        let had: u32 = seen.others.values().sum();
        (seen.others_sent > 0).then(|| f64::from(had) / f64::from(seen.others_sent))
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
