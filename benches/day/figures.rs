//! What a day came to, and the worst of several.

use std::collections::HashMap;
use std::time::Duration;

use super::approvals::Waited;
use super::buildkite::Buildkite;
use super::possible;
use super::syncs::Synced;
use buildkite_connector::providers::buildkite::budget::Bucket;

/// The table's head: what was given, then [`Worst::cells`].
pub(crate) const COLUMNS: [&str; 11] = [
    "organization",
    "user's limit",
    "another takes",
    "our own limit",
    "refusals",
    "approvals waited p50 / p99 / max",
    "requests",
    "rate used",
    "syncs",
    "sync took p50 / max",
    "another got",
];

/// One day.
#[derive(Debug)]
pub(crate) struct Figures {
    refusals: usize,
    most_in_a_window: usize,
    given_up: usize,
    /// In order.
    waited: Vec<Duration>,
    requests: usize,
    /// Of the rate that was possible while a sync was under way.
    used: f64,
    syncs: usize,
    /// In order.
    took: Vec<Duration>,
    /// Of what another asked for.
    another_had: Option<f64>,
}

impl Figures {
    pub(crate) fn new(syncs: &[Synced], approvals: &[Waited], buildkite: &Buildkite) -> Self {
        let ours = buildkite.ours();
        let mut refusals: HashMap<(Bucket, u32), usize> = HashMap::new();
        for counted in &ours {
            let Some(bucket) = counted.refused_by else { continue };
            let windows = match bucket {
                Bucket::Organization => buildkite.organization,
                Bucket::User => buildkite.user,
            };
            *refusals.entry((bucket, windows.at(counted.at))).or_default() += 1;
        }
        let possible: Duration = syncs.iter().map(|sync| possible::time(sync, &ours, buildkite)).sum();
        let mut took: Vec<Duration> = syncs.iter().map(Synced::took).collect();
        took.sort_unstable();
        let given_up = approvals.iter().filter(|waited| waited.is_err()).count();
        let mut waited: Vec<Duration> = approvals.iter().flatten().copied().collect();
        waited.sort_unstable();
        Self {
            refusals: refusals.values().sum(),
            most_in_a_window: refusals.values().copied().max().unwrap_or_default(),
            given_up,
            waited,
            requests: ours.len(),
            used: possible.as_secs_f64() / took.iter().sum::<Duration>().as_secs_f64(),
            syncs: syncs.len(),
            took,
            another_had: buildkite.others_share(),
        }
    }
}

/// Days by their seeds.
#[derive(Debug, Default)]
pub(crate) struct Worst(Vec<(u64, Figures)>);

impl Worst {
    pub(crate) fn add(&mut self, seed: u64, day: Figures) {
        self.0.push((seed, day));
    }

    /// The worst figure of all days in each column; in brackets the seed of a day that had it.
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
        let given_up: usize = self.0.iter().map(|(_, day)| day.given_up).sum();
        let share =
            |figure| least(figure).map_or_else(String::new, |(share, seed)| format!("{:.1} % [{seed}]", share * 100.0));
        [
            self.refusals(),
            match given_up {
                0 => format!("{} [{by}]", waited.map(seconds).join(" / ")),
                some => format!("{} [{by}], {some} given up", waited.map(seconds).join(" / ")),
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
            share(|day| day.another_had),
        ]
    }

    fn refusals(&self) -> String {
        let worst = self
            .0
            .iter()
            .max_by_key(|(_, day)| (day.refusals, day.most_in_a_window));
        let most = self
            .0
            .iter()
            .map(|(_, day)| day.most_in_a_window)
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
