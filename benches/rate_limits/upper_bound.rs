//! The upper bound of the rate: how soon a sync could have ended if the client knew the alignment of all windows and
//! what the other consumer takes of them, and waited only for round trips.

use std::collections::HashMap;
use std::time::Duration;

use buildkite_connector::governance::rate_limit::WINDOW;

use super::buildkite::{Buildkite, Counted, Windows};
use super::client::ROUND_TRIP;
use super::syncs::{CONCURRENCY, Synced};

/// The shortest possible time for as many requests as were accepted during the sync, approvals included.
pub(crate) fn shortest_time(synced: &Synced, requests: &[Counted], buildkite: &Buildkite) -> Duration {
    let first = requests.partition_point(|counted| counted.at < synced.began);
    let end = requests.partition_point(|counted| counted.at < synced.ended);
    let accepted = |counted: &&Counted| counted.refused_by.is_none();
    let mut unsent = u32::try_from(requests[first..end].iter().filter(accepted).count()).unwrap();
    let mut capacity = Capacity::new(buildkite);
    let recent = |counted: &&Counted| counted.at + WINDOW > synced.began;
    for counted in requests[..first].iter().rev().take_while(recent).filter(accepted) {
        capacity.take_by(counted.user, counted.at, 1);
    }
    let mut now = synced.began;
    loop {
        let next_reset = capacity.next_reset(now);
        let fits = |more: &u32| now + time_in_flight(*more) <= next_reset;
        let step = (1..=capacity.available(now).min(unsent))
            .take_while(fits)
            .last()
            .unwrap_or(0);
        if step == unsent {
            return (now + time_in_flight(step)).saturating_sub(synced.began);
        }
        capacity.take(now, step);
        unsent -= step;
        now = next_reset;
    }
}

/// The time that `requests` are in flight, with the concurrency of a sync.
fn time_in_flight(requests: u32) -> Duration {
    ROUND_TRIP * requests / u32::try_from(CONCURRENCY).unwrap()
}

/// What the windows of all counters allow, without the other consumer's part.
struct Capacity<'day> {
    buildkite: &'day Buildkite,
    organization: HashMap<u32, u32>,
    users: Vec<HashMap<u32, u32>>,
}

impl<'day> Capacity<'day> {
    fn new(buildkite: &'day Buildkite) -> Self {
        Self {
            buildkite,
            organization: HashMap::new(),
            users: vec![HashMap::new(); buildkite.users.len()],
        }
    }

    fn available(&self, now: Duration) -> u32 {
        let organization = self.buildkite.organization;
        let window = organization.at(now);
        let taken = self.organization.get(&window).copied().unwrap_or_default() + self.buildkite.other_accepted(window);
        let of_users: u32 = (0..self.users.len()).map(|user| self.available_to(user, now)).sum();
        organization.limit.saturating_sub(taken).min(of_users)
    }

    fn available_to(&self, user: usize, now: Duration) -> u32 {
        let windows = self.buildkite.users[user];
        let taken = self.users[user].get(&windows.at(now)).copied().unwrap_or_default();
        windows.limit.saturating_sub(taken)
    }

    /// Takes the requests first of the users whose windows end first, because what those have left is lost then.
    fn take(&mut self, at: Duration, mut requests: u32) {
        let mut users: Vec<usize> = (0..self.users.len()).collect();
        users.sort_by_key(|user| Self::end_of(self.buildkite.users[*user], at));
        for user in users {
            let taken = self.available_to(user, at).min(requests);
            self.take_by(user, at, taken);
            requests -= taken;
        }
    }

    fn take_by(&mut self, user: usize, at: Duration, requests: u32) {
        *self.organization.entry(self.buildkite.organization.at(at)).or_default() += requests;
        *self.users[user].entry(self.buildkite.users[user].at(at)).or_default() += requests;
    }

    /// The next time at which a window ends.
    fn next_reset(&self, now: Duration) -> Duration {
        let users = self.buildkite.users.iter().copied();
        let ends = users.map(|windows| Self::end_of(windows, now));
        ends.fold(Self::end_of(self.buildkite.organization, now), Duration::min)
    }

    fn end_of(windows: Windows, now: Duration) -> Duration {
        windows.begin(windows.at(now) + 1)
    }
}
