//! The figures of a day, and the worst of several days.

use std::collections::HashMap;
use std::time::Duration;

use super::approvals::Waited;
use super::buildkite::Buildkite;
use super::syncs::Synced;
use super::upper_bound;
use buildkite_connector::governance::rate_limit::Bucket;

/// The header of the table: the setting, then [`Worst::cells`].
pub(crate) const COLUMNS: [&str; 11] = [
    "organization",
    "users' limits",
    "other consumer wants",
    "operator's limit",
    "refusals",
    "approvals waited p50 / p99 / max",
    "requests",
    "rate used",
    "syncs",
    "sync took p50 / max",
    "other consumer got",
];

/// One day.
#[derive(Debug)]
pub(crate) struct Figures {
    refusals: usize,
    max_in_a_window: usize,
    rejected: usize,
    /// Sorted.
    waited: Vec<Duration>,
    requests: usize,
    /// The share of the possible rate that was used during syncs.
    used: f64,
    syncs: usize,
    /// Sorted.
    took: Vec<Duration>,
    /// The share of the other consumer's requests that was accepted.
    other_share: Option<f64>,
}

impl Figures {
    pub(crate) fn new(syncs: &[Synced], approvals: &[Waited], buildkite: &Buildkite) -> Self {
        let requests = buildkite.requests();
        let mut refusals: HashMap<(Bucket, usize, u32), usize> = HashMap::new();
        for counted in &requests {
            let Some(bucket) = counted.refused_by else { continue };
            let (windows, user) = match bucket {
                Bucket::Organization => (buildkite.organization, 0),
                Bucket::User => (buildkite.users[counted.user], counted.user),
            };
            *refusals.entry((bucket, user, windows.at(counted.at))).or_default() += 1;
        }
        let shortest: Duration = syncs
            .iter()
            .map(|sync| upper_bound::shortest_time(sync, &requests, buildkite))
            .sum();
        let mut took: Vec<Duration> = syncs.iter().map(Synced::took).collect();
        took.sort_unstable();
        let rejected = approvals.iter().filter(|waited| waited.is_err()).count();
        let mut waited: Vec<Duration> = approvals.iter().flatten().copied().collect();
        waited.sort_unstable();
        Self {
            refusals: refusals.values().sum(),
            max_in_a_window: refusals.values().copied().max().unwrap_or_default(),
            rejected,
            waited,
            requests: requests.len(),
            used: shortest.as_secs_f64() / took.iter().sum::<Duration>().as_secs_f64(),
            syncs: syncs.len(),
            took,
            other_share: buildkite.other_share(),
        }
    }
}

/// Days with their seeds.
#[derive(Debug, Default)]
pub(crate) struct Worst(Vec<(u64, Figures)>);

impl Worst {
    pub(crate) fn add(&mut self, seed: u64, day: Figures) {
        self.0.push((seed, day));
    }

    /// The worst figure of all days in each column, with the seed of its day in brackets.
    pub(crate) fn cells(&self) -> [String; 7] {
        let of = |figure: fn(&Figures) -> Duration| self.0.iter().map(move |(seed, day)| (figure(day), *seed));
        let longest = |figure| of(figure).max().unwrap_or_default();
        let least = |figure: fn(&Figures) -> Option<f64>| {
            let days = self.0.iter().filter_map(|(seed, day)| Some((figure(day)?, *seed)));
            days.min_by(|one, other| one.0.total_cmp(&other.0))
        };
        let (longest_wait, by) = longest(|day| percentile(&day.waited, 100));
        let waited = [
            longest(|day| percentile(&day.waited, 50)).0,
            longest(|day| percentile(&day.waited, 99)).0,
            longest_wait,
        ];
        let rejected: usize = self.0.iter().map(|(_, day)| day.rejected).sum();
        let share =
            |figure| least(figure).map_or_else(String::new, |(share, seed)| format!("{:.1} % [{seed}]", share * 100.0));
        [
            self.refusals(),
            match rejected {
                0 => format!("{} [{by}]", waited.map(seconds).join(" / ")),
                some => format!("{} [{by}], {some} rejected", waited.map(seconds).join(" / ")),
            },
            self.0
                .iter()
                .map(|(_, day)| day.requests)
                .max()
                .unwrap_or_default()
                .to_string(),
            share(|day| Some(day.used)),
            self.0
                .iter()
                .map(|(_, day)| day.syncs)
                .min()
                .unwrap_or_default()
                .to_string(),
            format!(
                "{} / {}",
                minutes(longest(|day| percentile(&day.took, 50)).0),
                minutes(longest(|day| percentile(&day.took, 100)).0)
            ),
            share(|day| day.other_share),
        ]
    }

    fn refusals(&self) -> String {
        let worst = self.0.iter().max_by_key(|(_, day)| (day.refusals, day.max_in_a_window));
        let most = self
            .0
            .iter()
            .map(|(_, day)| day.max_in_a_window)
            .max()
            .unwrap_or_default();
        match worst {
            Some((seed, day)) if day.refusals > 0 => {
                format!("{}, {most} in a window [{seed}]", day.refusals)
            }
            _ => "0".to_owned(),
        }
    }
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

fn minutes(time: Duration) -> String {
    format!("{}:{:02}", time.as_secs() / 60, time.as_secs() % 60)
}
