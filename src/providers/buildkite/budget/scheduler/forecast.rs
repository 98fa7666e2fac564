//! When waiters can be served, and which of them certainly cannot be in time.

use std::cmp::Reverse;

use tokio::time::Instant;

use super::{Rejected, Scheduler};
use crate::governance::Lane;
use crate::governance::rate_limit::LimitExceeded;
use crate::providers::buildkite::budget::bucket::{BucketTracker, Reserve};
use crate::providers::buildkite::budget::connection::{BucketId, Connection, PooledCredential};
use crate::providers::buildkite::budget::routing::Route;
use crate::providers::buildkite::budget::window::Estimate;

/// When the requests of one lane that the same credentials serve can be sent, one after the other.
struct UserForecast<'a> {
    users: Vec<User<'a>>,
    now: Instant,
    estimate: Estimate,
    latest: Instant,
}

/// The bucket of one user, and how many of the requests it takes.
struct User<'a> {
    bucket: &'a BucketTracker,
    reserve: Reserve,
    taken: u32,
}

impl UserForecast<'_> {
    /// When the next request can be sent, and the bucket that it waits for. `ahead` others are before it.
    fn next(&mut self, ahead: u32) -> Option<(Instant, &BucketTracker)> {
        if let [user] = &mut *self.users {
            user.taken = ahead;
        }
        let (now, estimate) = (self.now, self.estimate);
        let is_bound_of_several = estimate == Estimate::LowerBound && self.users.len() > 1;
        let at = |user: &User<'_>| {
            // What one user keeps depends on what the others have, so it bounds the next request only.
            let is_bound = user.taken == 0 || !is_bound_of_several;
            let reserve = if is_bound { user.reserve } else { Reserve::default() };
            user.bucket.forecast(reserve, user.taken, now, estimate)
        };
        let (at, user) = self
            .users
            .iter_mut()
            .map(|user| (at(user), user))
            .min_by_key(|(at, _)| *at)?;
        user.taken += 1;
        self.latest = self.latest.max(at);
        Some((self.latest, user.bucket))
    }
}

impl Scheduler {
    fn user_forecast<'a>(
        &'a self,
        connection: &Connection,
        (lane, route): (Lane, Route),
        now: Instant,
        estimate: Estimate,
    ) -> UserForecast<'a> {
        let users = connection.users(route);
        let writers = connection.users(Route::Change);
        let count = u32::try_from(writers.len()).unwrap_or(u32::MAX).max(1);
        let of = |id| {
            let bucket = self.buckets.get(&id)?;
            let later = match (lane, estimate) {
                // Nothing but reads is sent for a user who makes no changes.
                (Lane::Sync, _) if !writers.contains(&id) => 0,
                (Lane::Sync, _) if count == 1 => bucket.reserve(),
                // Several users keep one reserve together. Which of them does is not known, so it is no bound.
                (Lane::Sync, Estimate::Expected) => bucket.reserve() / count,
                _ => 0,
            };
            let now = self.user_reserve(connection, id, lane, now);
            Some(User {
                bucket,
                reserve: Reserve { now, later },
                taken: 0,
            })
        };
        UserForecast {
            users: users.into_iter().filter_map(of).collect(),
            now,
            estimate,
            latest: now,
        }
    }

    /// The limit that blocks the request that is next in `users`, with `ahead` others before it. `retry_at` is `None`
    /// if no rate limit blocks it.
    fn limit(&self, connection: &Connection, lane: Lane, ahead: u32, users: &mut UserForecast<'_>) -> LimitExceeded {
        let (now, estimate) = (users.now, users.estimate);
        let exceeded = |bucket: &BucketTracker, at| LimitExceeded {
            bucket: Some(bucket.bucket),
            limit: bucket.limit().map(i64::from),
            retry_at: Some(at),
        };
        let organization = self.buckets.get(&connection.organization).map(|bucket| {
            let reserve = Reserve {
                now: Self::reserve(bucket, lane, now),
                later: if lane == Lane::Sync { bucket.reserve() } else { 0 },
            };
            exceeded(bucket, bucket.forecast(reserve, ahead, now, estimate))
        });
        let user = users.next(ahead).map(|(at, bucket)| exceeded(bucket, at));
        let operator_limit = connection.operator_limit.as_ref().map(|limit| LimitExceeded {
            bucket: None,
            limit: Some(i64::from(limit.limit())),
            retry_at: Some(limit.forecast(lane, ahead, now)),
        });
        [organization, user, operator_limit]
            .into_iter()
            .flatten()
            .filter(|limit| limit.retry_at.is_some_and(|at| at > now))
            .max_by_key(|limit| limit.retry_at)
            .unwrap_or_else(LimitExceeded::unknown)
    }

    /// The limit that blocks the last of `requests` of this lane, and until when, if no others are enqueued.
    pub(crate) fn forecast(
        &self,
        connection: u64,
        lane: Lane,
        requests: u32,
        now: Instant,
        estimate: Estimate,
    ) -> LimitExceeded {
        let Some(connection) = self.connections.get(&connection) else {
            return LimitExceeded::unknown();
        };
        let route = match lane {
            Lane::Provisioning => Route::Change,
            Lane::Interactive | Lane::Sync => Route::Read,
        };
        let ahead = requests.saturating_sub(1);
        let mut users = self.user_forecast(connection, (lane, route), now, estimate);
        if users.users.len() > 1 {
            for ahead in 0..ahead {
                let _ = users.next(ahead);
            }
        }
        self.limit(connection, lane, ahead, &mut users)
    }

    /// The credential of a route whose user has most left now, or has something left first.
    pub(crate) fn preferred(&mut self, connection: u64, lane: Lane, route: Route, now: Instant) -> Option<usize> {
        self.advance(now);
        let connection = self.connections.get(&connection)?;
        let preference = |(position, credential): (usize, &PooledCredential)| {
            let bucket = self.buckets.get(&credential.user)?;
            let reserve = self.user_reserve(connection, credential.user, lane, now);
            let at = bucket.forecast(Reserve { now: reserve, later: 0 }, 0, now, Estimate::Expected);
            let left = bucket.available_beyond(reserve);
            Some(((left, Reverse((at, bucket.in_flight(), position))), position))
        };
        let preferred = connection
            .candidates(route)
            .filter_map(preference)
            .max_by_key(|(order, _)| *order);
        preferred.map(|(_, position)| position)
    }

    /// Rejects the first waiter that certainly cannot be granted before its deadline.
    pub(super) fn reject(&mut self, now: Instant) -> Option<Rejected> {
        let (connection, rejected) = self
            .connections
            .iter()
            .find_map(|(id, connection)| Some((*id, self.first_in_vain(connection, now)?)))?;
        self.cancel(connection, rejected.waiter);
        Some(rejected)
    }

    /// The first waiter that certainly cannot be granted before its deadline. Only waiters for the same users are
    /// certainly before it: others may have to wait for a user who has nothing left, and do not block it.
    fn first_in_vain(&self, connection: &Connection, now: Instant) -> Option<Rejected> {
        let mut ahead: Vec<(Vec<BucketId>, u32)> = Vec::new();
        let mut forecasts: Vec<((Lane, Route), usize, UserForecast<'_>)> = Vec::new();
        connection.queue.iter().find_map(|(lane, waiter)| {
            let key = (lane, waiter.route);
            let known = forecasts.iter().position(|(of, ..)| *of == key).unwrap_or_else(|| {
                let users = connection.users(waiter.route);
                let same = ahead.iter().position(|(of, _)| *of == users).unwrap_or_else(|| {
                    ahead.push((users, 0));
                    ahead.len() - 1
                });
                let forecast = self.user_forecast(connection, key, now, Estimate::LowerBound);
                forecasts.push((key, same, forecast));
                forecasts.len() - 1
            });
            let (_, same, users) = forecasts.get_mut(known)?;
            let (_, ahead) = ahead.get_mut(*same)?;
            let limit = self.limit(connection, lane, *ahead, users);
            *ahead += 1;
            let too_late = waiter.deadline <= now || limit.retry_at.is_some_and(|at| at > waiter.deadline);
            too_late.then_some(Rejected {
                waiter: waiter.id,
                limit,
                throttled: waiter.throttled,
            })
        })
    }

    /// Marks the waiters that a rate limit blocks, rather than the number of requests in flight.
    pub(super) fn mark_throttled(&mut self, now: Instant) {
        let mut blocked: Vec<(u64, Vec<(Lane, Route)>)> = Vec::new();
        for (id, connection) in &self.connections {
            let mut keys: Vec<(Lane, Route)> = Vec::new();
            for key in connection.queue.iter().map(|(lane, waiter)| (lane, waiter.route)) {
                if !keys.contains(&key) {
                    keys.push(key);
                }
            }
            keys.retain(|key| {
                let mut users = self.user_forecast(connection, *key, now, Estimate::LowerBound);
                self.limit(connection, key.0, 0, &mut users).retry_at.is_some()
            });
            if !keys.is_empty() {
                blocked.push((*id, keys));
            }
        }
        for (id, keys) in blocked {
            let waiters = self
                .connections
                .get_mut(&id)
                .into_iter()
                .flat_map(|connection| connection.queue.iter_mut());
            for (lane, waiter) in waiters {
                waiter.throttled |= keys.contains(&(lane, waiter.route));
            }
        }
    }
}
