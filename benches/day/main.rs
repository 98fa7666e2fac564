//! A day at Buildkite's rate limits, in virtual time: the real door in front of a model of Buildkite's two counters, a sync
//! every half hour, approvals at any moment, and somebody else who spends as well. It takes seconds.
//!
//! Each row is the worst of several days that differ by their seed: moments, alignment of windows, latency, rounding.
//!
//! `cargo bench --bench day`; with `-- SEED` for the days of one seed alone.

#![allow(clippy::unwrap_used, reason = "a bench that cannot go on has failed")]

mod approvals;
mod buildkite;
mod client;
mod dice;
mod figures;
mod others;
mod possible;
mod syncs;

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use buildkite_connector::providers::buildkite::budget::{BudgetOptions, Door};
use comfy_table::Table;

use buildkite::Buildkite;
use client::Client;
use dice::Dice;
use figures::{Figures, Worst};
use syncs::Organization;

/// How long it lasts.
const DAY: Duration = Duration::from_secs(24 * 3600);

const SEEDS: std::ops::RangeInclusive<u64> = 1..=8;

const ORGANIZATIONS: [Organization; 2] = [
    Organization {
        teams: 250,
        members: 20,
        people: 2_000,
    },
    Organization {
        teams: 2_000,
        members: 150,
        people: 50_000,
    },
];

/// What surrounds the syncs and the approvals.
#[derive(Debug, Clone, Copy)]
struct Setting {
    /// What Buildkite allows the token's user: 50 by default, and as much as the organization with a limit of its own.
    user_limit: u32,
    /// Whether somebody else takes half of the organization's windows.
    beside: bool,
    /// `--max-requests-per-minute`.
    at_most: Option<NonZeroU32>,
}

const SETTINGS: [Setting; 5] = [
    Setting::new(50, false, None),
    Setting::new(50, true, None),
    Setting::new(200, false, None),
    Setting::new(200, true, None),
    Setting::new(200, true, NonZeroU32::new(100)),
];

impl Setting {
    const fn new(user_limit: u32, beside: bool, at_most: Option<NonZeroU32>) -> Self {
        Self {
            user_limit,
            beside,
            at_most,
        }
    }

    fn cells(self) -> [String; 3] {
        [
            format!("{} a minute", self.user_limit),
            if self.beside { "half" } else { "nothing" }.to_owned(),
            self.at_most
                .map_or_else(|| "none".to_owned(), |most| format!("{most} a minute")),
        ]
    }
}

fn main() {
    // `cargo test --all-targets` runs benches too, but not to measure.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let only: Option<u64> = std::env::args().find_map(|argument| argument.parse().ok());
    let began = Instant::now();
    let mut table = Table::new();
    table.set_header(figures::COLUMNS);
    for organization in ORGANIZATIONS {
        for setting in SETTINGS {
            let mut worst = Worst::default();
            for seed in SEEDS.filter(|seed| only.is_none_or(|only| only == *seed)) {
                worst.add(seed, a_day(organization, setting, seed));
            }
            let name = format!("{} teams", organization.teams);
            table.add_row([name].into_iter().chain(setting.cells()).chain(worst.cells()));
        }
    }
    println!("{table}");
    println!(
        "in brackets the seed of the day; {:.1} s in all",
        began.elapsed().as_secs_f64()
    );
}

fn a_day(organization: Organization, setting: Setting, seed: u64) -> Figures {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut dice = Dice::new(seed);
        let buildkite = Buildkite::new(setting.user_limit, &mut dice);
        let door = Door::new(BudgetOptions {
            max_requests_per_minute: setting.at_most,
            ..BudgetOptions::default()
        });
        let client = Client::new(&door, &buildkite, dice.fork());
        let (due, arrivals) = (syncs::due(&mut dice), approvals::arrivals(&mut dice));
        let (syncs, approvals, ()) = futures::join!(
            syncs::run(&client, organization, due),
            approvals::run(&client, &arrivals),
            others::run(&buildkite, setting.beside, dice.fork()),
        );
        Figures::new(&syncs, &approvals, &buildkite)
    })
}
