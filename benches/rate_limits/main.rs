//! A day at Buildkite's rate limits, in virtual time: the real rate limiter in front of a model of Buildkite's
//! counters, with a sync every half hour, approvals at random times, and another consumer. It takes seconds.
//!
//! Each row shows the worst of several days that differ by seed: times, alignment of windows, latency and rounding.
//!
//! `cargo bench --bench rate_limits`, or with `-- SEED` for one seed only.

#![allow(clippy::unwrap_used, reason = "a bench that cannot go on has failed")]

mod approvals;
mod buildkite;
mod client;
mod figures;
mod other_consumer;
mod rng;
mod syncs;
mod upper_bound;

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use buildkite_connector::providers::buildkite::budget::{BudgetOptions, Budgets, CredentialUse};
use comfy_table::Table;

use buildkite::Buildkite;
use client::Client;
use figures::{Figures, Worst};
use rng::Rng;
use syncs::Organization;

/// The duration of the simulation.
const DAY: Duration = Duration::from_secs(24 * 3600);

const SEEDS: std::ops::RangeInclusive<u64> = 1..=8;

const ORGANIZATIONS: [Organization; 2] = [
    Organization {
        teams: 250,
        team_members: 20,
        members: 2_000,
    },
    Organization {
        teams: 2_000,
        team_members: 150,
        members: 50_000,
    },
];

/// The limits and the other consumer of a day.
#[derive(Debug, Clone, Copy)]
struct Setting {
    /// The users whose credentials the connection has.
    users: usize,
    /// Requests that Buildkite allows each user in a window: 50 by default; a user can have a higher limit.
    user_limit: u32,
    /// Whether another consumer wants half of the organization's windows.
    has_other_consumer: bool,
    /// `--max-requests-per-minute`.
    max_requests_per_minute: Option<NonZeroU32>,
}

const SETTINGS: [Setting; 7] = [
    Setting::new(50, false, None),
    Setting::new(50, true, None),
    Setting::new(200, false, None),
    Setting::new(200, true, None),
    Setting::new(200, true, NonZeroU32::new(100)),
    Setting::new(50, false, None).with_users(4),
    Setting::new(50, true, None).with_users(4),
];

impl Setting {
    const fn new(user_limit: u32, has_other_consumer: bool, max_requests_per_minute: Option<NonZeroU32>) -> Self {
        Self {
            users: 1,
            user_limit,
            has_other_consumer,
            max_requests_per_minute,
        }
    }

    const fn with_users(self, users: usize) -> Self {
        Self { users, ..self }
    }

    fn cells(self) -> [String; 3] {
        [
            match self.users {
                1 => format!("{} a minute", self.user_limit),
                users => format!("{users} × {} a minute", self.user_limit),
            },
            if self.has_other_consumer { "half" } else { "nothing" }.to_owned(),
            self.max_requests_per_minute
                .map_or_else(|| "none".to_owned(), |limit| format!("{limit} a minute")),
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
                worst.add(seed, simulate_day(organization, setting, seed));
            }
            let name = format!("{} teams", organization.teams);
            table.add_row([name].into_iter().chain(setting.cells()).chain(worst.cells()));
        }
    }
    println!("{table}");
    println!(
        "the seed of the day is in brackets; {:.1} s in total",
        began.elapsed().as_secs_f64()
    );
}

fn simulate_day(organization: Organization, setting: Setting, seed: u64) -> Figures {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut rng = Rng::new(seed);
        let buildkite = Buildkite::new(setting.users, setting.user_limit, &mut rng);
        let options = BudgetOptions {
            max_requests_per_minute: setting.max_requests_per_minute,
            ..BudgetOptions::default()
        };
        let uses = vec![CredentialUse::Any; setting.users];
        let limiter = Budgets::default().limiter(None, &uses, options);
        let client = Client::new(&limiter, &buildkite, rng.fork());
        let (due, arrivals) = (syncs::due(&mut rng), approvals::arrivals(&mut rng));
        let (syncs, approvals, ()) = futures::join!(
            syncs::run(&client, organization, due),
            approvals::run(&client, &arrivals),
            other_consumer::run(&buildkite, setting.has_other_consumer, rng.fork()),
        );
        Figures::new(&syncs, &approvals, &buildkite)
    })
}
