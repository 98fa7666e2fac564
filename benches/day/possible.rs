//! How soon a sync could have ended: for somebody who knows where both windows lie and what others will take of them, sends
//! whatever fits at once, and has only the round trips to wait for.

use std::collections::HashMap;
use std::time::Duration;

use buildkite_connector::providers::buildkite::budget::WINDOW;

use super::buildkite::{Buildkite, Counted, Windows};
use super::client::ROUND_TRIP;
use super::syncs::{AT_ONCE, Synced};

/// The shortest possible time for as many requests as passed while the sync was under way, approvals included.
pub(crate) fn time(synced: &Synced, ours: &[Counted], buildkite: &Buildkite) -> Duration {
    let first = ours.partition_point(|counted| counted.at < synced.began);
    let behind = ours.partition_point(|counted| counted.at < synced.ended);
    let passed = |counted: &&Counted| counted.refused_by.is_none();
    let mut unsent = u32::try_from(ours[first..behind].iter().filter(passed).count()).unwrap();
    let mut left = Left::new(buildkite);
    let recent = |counted: &&Counted| counted.at + WINDOW > synced.began;
    for counted in ours[..first].iter().rev().take_while(recent).filter(passed) {
        left.take(counted.at, 1);
    }
    let mut now = synced.began;
    loop {
        let ends = left.ends(now);
        let fits = |more: &u32| now + under_way(*more) <= ends;
        let step = (1..=left.room(now).min(unsent)).take_while(fits).last().unwrap_or(0);
        if step == unsent {
            return (now + under_way(step)).saturating_sub(synced.began);
        }
        left.take(now, step);
        unsent -= step;
        now = ends;
    }
}

/// For so many requests, as many at once as a sync sends.
fn under_way(requests: u32) -> Duration {
    ROUND_TRIP * requests / u32::try_from(AT_ONCE).unwrap()
}

/// What is left of both counters' windows, others' part taken off.
struct Left<'day> {
    buildkite: &'day Buildkite,
    organization: HashMap<u32, u32>,
    user: HashMap<u32, u32>,
}

impl<'day> Left<'day> {
    fn new(buildkite: &'day Buildkite) -> Self {
        Self {
            buildkite,
            organization: HashMap::new(),
            user: HashMap::new(),
        }
    }

    fn room(&self, now: Duration) -> u32 {
        let (organization, user) = (self.buildkite.organization, self.buildkite.user);
        let window = organization.at(now);
        let taken = self.organization.get(&window).copied().unwrap_or_default() + self.buildkite.others_had(window);
        let taken_by_user = self.user.get(&user.at(now)).copied().unwrap_or_default();
        (organization.limit.saturating_sub(taken)).min(user.limit.saturating_sub(taken_by_user))
    }

    fn take(&mut self, at: Duration, requests: u32) {
        *self.organization.entry(self.buildkite.organization.at(at)).or_default() += requests;
        *self.user.entry(self.buildkite.user.at(at)).or_default() += requests;
    }

    /// The next moment at which a window ends.
    fn ends(&self, now: Duration) -> Duration {
        let next = |windows: Windows| windows.begin(windows.at(now) + 1);
        next(self.buildkite.organization).min(next(self.buildkite.user))
    }
}
