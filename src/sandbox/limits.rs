//! The two rate limits: each request counts against the organization and against the token's owner, in fixed windows
//! (section 4 of the REST reference). Rejected requests count too, which is how `Remaining` gets below zero.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use jiff::Timestamp;
use serde_json::json;
use tokio::time::Instant;
use uuid::Uuid;

use super::behaviors::ResetRounding;
use super::response::Response;

/// One of the two limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bucket {
    /// All requests about the organization, from any user.
    Organization,
    /// All requests of one user, with any token.
    User,
}

impl Bucket {
    /// The name in headers and bodies.
    #[must_use]
    pub fn scope(self) -> &'static str {
        match self {
            Self::Organization => "rest",
            Self::User => "rest_user",
        }
    }

    fn header(self, suffix: &str) -> Option<HeaderName> {
        let prefix = match self {
            Self::Organization => "ratelimit",
            Self::User => "ratelimit-user",
        };
        HeaderName::try_from(format!("{prefix}-{suffix}")).ok()
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.scope())
    }
}

/// The limits and their windows.
#[derive(Clone, Copy, Debug)]
pub struct LimitOptions {
    /// Requests per window for the organization; `None`: no limit and no headers.
    pub organization: Option<u32>,
    /// Requests per window for each user without a limit of their own; `None`: no limit and no headers.
    pub user: Option<u32>,
    /// Length of a window.
    pub window: Duration,
    /// Time since the start of the organization's window when the sandbox starts; `None`: windows begin with the
    /// clock's minutes.
    pub organization_offset: Option<Duration>,
    /// The same for the users' windows.
    pub user_offset: Option<Duration>,
}

impl Default for LimitOptions {
    fn default() -> Self {
        Self {
            organization: Some(200),
            user: Some(50),
            window: Duration::from_secs(60),
            organization_offset: None,
            user_offset: None,
        }
    }
}

impl LimitOptions {
    /// No limits.
    #[must_use]
    pub fn unlimited() -> Self {
        Self {
            organization: None,
            user: None,
            ..Self::default()
        }
    }
}

/// How full a bucket is, including the current request.
#[derive(Clone, Copy, Debug)]
pub(super) struct BucketLevel {
    limit: u32,
    current: u64,
    until_reset: Duration,
}

impl BucketLevel {
    fn is_exceeded(&self) -> bool {
        self.current > u64::from(self.limit)
    }

    fn remaining(&self) -> i64 {
        i64::from(self.limit).saturating_sub(i64::try_from(self.current).unwrap_or(i64::MAX))
    }

    fn reset_seconds(&self, rounding: ResetRounding) -> u64 {
        let whole = self.until_reset.as_secs();
        let part = self.until_reset.subsec_nanos();
        match rounding {
            ResetRounding::Floor => whole,
            ResetRounding::Ceil => whole + u64::from(part > 0),
            ResetRounding::Round => whole + u64::from(part >= 500_000_000),
        }
    }
}

/// The levels of both buckets as of one request; `None` for a bucket that does not apply.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LimitStatus {
    pub(super) organization: Option<BucketLevel>,
    pub(super) user: Option<BucketLevel>,
}

impl LimitStatus {
    /// The bucket that rejects the request.
    pub(super) fn exceeded_bucket(&self) -> Option<Bucket> {
        self.buckets()
            .find_map(|(bucket, level)| level.is_exceeded().then_some(bucket))
    }

    /// Writes the headers of both buckets.
    pub(super) fn write_headers(&self, headers: &mut HeaderMap, rounding: ResetRounding) {
        for (bucket, level) in self.buckets() {
            let mut set = |suffix, value: HeaderValue| {
                if let Some(name) = bucket.header(suffix) {
                    headers.insert(name, value);
                }
            };
            set("scope", HeaderValue::from_static(bucket.scope()));
            set("remaining", level.remaining().into());
            set("limit", level.limit.into());
            set("reset", level.reset_seconds(rounding).into());
            if level.remaining() <= 0 {
                set("warning", HeaderValue::from_static("The rate limit is exhausted"));
            }
        }
    }

    /// The documented 429 of a bucket: five fields.
    pub(super) fn too_many_requests(&self, bucket: Bucket, rounding: ResetRounding) -> Response {
        let level = match bucket {
            Bucket::Organization => self.organization,
            Bucket::User => self.user,
        };
        let (limit, current, reset) = level.map_or((0, 0, 60), |level| {
            (level.limit, level.current, level.reset_seconds(rounding))
        });
        let body = json!({
            "message": format!("You have exceeded the {bucket} rate limit. Please wait {reset} seconds before making more requests."),
            "scope": bucket.scope(),
            "limit": limit,
            "current": current,
            "reset": reset,
        });
        Response::json(StatusCode::TOO_MANY_REQUESTS, &body)
    }

    fn buckets(&self) -> impl Iterator<Item = (Bucket, BucketLevel)> {
        let organization = self.organization.map(|level| (Bucket::Organization, level));
        organization
            .into_iter()
            .chain(self.user.map(|level| (Bucket::User, level)))
    }
}

/// Consecutive windows of a fixed length.
#[derive(Clone, Copy, Debug)]
struct FixedWindows {
    origin: Instant,
    offset: Duration,
    length: Duration,
}

impl FixedWindows {
    /// The number of the current window, and the time until the next.
    fn at(&self, now: Instant) -> (u128, Duration) {
        let length = self.length.as_nanos().max(1);
        let since = now
            .saturating_duration_since(self.origin)
            .saturating_add(self.offset)
            .as_nanos();
        let left = length - since % length;
        (
            since / length,
            Duration::from_nanos(u64::try_from(left).unwrap_or(u64::MAX)),
        )
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Counter {
    window: u128,
    current: u64,
}

impl Counter {
    fn add(&mut self, window: u128, requests: u64) -> u64 {
        if self.window != window {
            *self = Self { window, current: 0 };
        }
        self.current = self.current.saturating_add(requests);
        self.current
    }
}

#[derive(Debug, Default)]
struct Counters {
    organization: Counter,
    users: HashMap<Uuid, Counter>,
    /// The limits of the users who have one of their own.
    user_limits: HashMap<Uuid, u32>,
    rejected_organization: u64,
    rejected_user: u64,
}

/// The counters of both limits.
#[derive(Debug)]
pub(super) struct Limits {
    options: LimitOptions,
    organization: FixedWindows,
    user: FixedWindows,
    counters: Mutex<Counters>,
}

impl Limits {
    pub(super) fn new(options: LimitOptions) -> Self {
        let origin = Instant::now();
        let since_epoch = Duration::try_from(Timestamp::now().as_duration()).unwrap_or_default();
        let fixed_windows = |offset: Option<Duration>| FixedWindows {
            origin,
            offset: offset.unwrap_or(since_epoch),
            length: options.window,
        };
        Self {
            options,
            organization: fixed_windows(options.organization_offset),
            user: fixed_windows(options.user_offset),
            counters: Mutex::default(),
        }
    }

    /// Counts a request and returns the resulting levels.
    pub(super) fn count_request(&self, user: Uuid, counts_organization: bool) -> LimitStatus {
        let limit_status = LimitStatus {
            organization: counts_organization.then(|| self.consume_organization(1)).flatten(),
            user: self.consume_user(user, 1),
        };
        match limit_status.exceeded_bucket() {
            Some(Bucket::Organization) => self.counters().rejected_organization += 1,
            Some(Bucket::User) => self.counters().rejected_user += 1,
            None => {}
        }
        limit_status
    }

    pub(super) fn consume_organization(&self, requests: u64) -> Option<BucketLevel> {
        let limit = self.options.organization?;
        let (window, until_reset) = self.organization.at(Instant::now());
        let current = self.counters().organization.add(window, requests);
        Some(BucketLevel {
            limit,
            current,
            until_reset,
        })
    }

    pub(super) fn consume_user(&self, user: Uuid, requests: u64) -> Option<BucketLevel> {
        let mut counters = self.counters();
        let own_limit = counters.user_limits.get(&user).copied();
        let limit = own_limit.or(self.options.user)?;
        let (window, until_reset) = self.user.at(Instant::now());
        let current = counters.users.entry(user).or_default().add(window, requests);
        drop(counters);
        Some(BucketLevel {
            limit,
            current,
            until_reset,
        })
    }

    pub(super) fn set_user_limit(&self, user: Uuid, limit: u32) {
        self.counters().user_limits.insert(user, limit);
    }

    pub(super) fn refused(&self, bucket: Bucket) -> u64 {
        match bucket {
            Bucket::Organization => self.counters().rejected_organization,
            Bucket::User => self.counters().rejected_user,
        }
    }

    /// The same status as if this bucket had just been exhausted.
    pub(super) fn with_exhausted(&self, mut limit_status: LimitStatus, bucket: Bucket) -> LimitStatus {
        let (slot, limit) = match bucket {
            Bucket::Organization => (&mut limit_status.organization, 200),
            Bucket::User => (&mut limit_status.user, 50),
        };
        let level = slot.get_or_insert(BucketLevel {
            limit,
            current: 0,
            until_reset: self.options.window,
        });
        level.current = level.current.max(u64::from(level.limit) + 1);
        limit_status
    }

    /// The body of the `rate_limit` endpoint. It has no values per user, and the sandbox does not use GraphQL.
    pub(super) fn rate_limit_json(&self, rounding: ResetRounding) -> serde_json::Value {
        let scope_json = |limit: u32, current: u64, reset: u64, enforced: bool| {
            let at = Timestamp::now()
                .checked_add(Duration::from_secs(reset))
                .unwrap_or(Timestamp::MAX);
            json!({
                "limit": limit,
                "current": current,
                "reset": reset,
                "reset_at": at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
                "enforced": enforced,
            })
        };
        let level = self.consume_organization(0);
        let rest = level.map_or_else(
            || scope_json(0, 0, self.options.window.as_secs(), false),
            |level| scope_json(level.limit, level.current, level.reset_seconds(rounding), true),
        );
        json!({ "scopes": { "rest": rest, "graphql": scope_json(50_000, 0, 300, true) } })
    }

    fn counters(&self) -> MutexGuard<'_, Counters> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
