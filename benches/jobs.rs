//! `sync` as a job, against the sandbox over loopback: wall time, CPU, peak memory and the file's size, for each format. The job is
//! the real binary, from its start to its end. A second table shows what the types beside users and teams cost.
//!
//! `cargo bench --bench jobs`, or with `-- quick` for the smaller organization alone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../tests/integration/support/mod.rs"]
mod support;
#[path = "support/usage.rs"]
mod usage;

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use buildkite_connector::providers::buildkite::IncludedType;
use buildkite_connector::sandbox::{ALL_SCOPES, LimitOptions, Options, Sandbox, Seed, Size, TokenSpec};
use comfy_table::Table;
use secrecy::ExposeSecret;
use support::sized;
use usage::measure;

/// Teams, members of each, people, and Buildkite's latency in milliseconds.
const RUNS: [(usize, usize, usize, u64); 3] = [(250, 20, 2_000, 0), (250, 20, 2_000, 50), (2_000, 150, 50_000, 0)];

const FORMATS: [&str; 4] = ["c1z", "jsonl", "csv", "json"];

#[tokio::main]
async fn main() {
    // `cargo test --all-targets` runs benches too, but not to measure.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let quick = std::env::args().any(|argument| argument == "quick");
    let mut table = Table::new();
    table.set_header([
        "organization",
        "latency",
        "format",
        "wall",
        "CPU",
        "peak memory",
        "file",
    ]);
    for (teams, members, people, latency) in RUNS.into_iter().take(if quick { 2 } else { RUNS.len() }) {
        let options = Options {
            seed: sized(teams, members, people),
            latency: Duration::from_millis(latency),
            limits: LimitOptions::unlimited(),
            ..Options::default()
        };
        let sandbox = Sandbox::start(options).await.unwrap();
        for format in FORMATS {
            let directory = tempfile::tempdir().unwrap();
            let place = directory.path().join("access").with_extension(format);
            let job = start(&sandbox, &place, "");
            let measured = tokio::task::spawn_blocking(move || measure(job)).await.unwrap();
            table.add_row([
                format!("{teams} × {members}, {people} people"),
                format!("{latency} ms"),
                format.to_owned(),
                format!("{:.2} s", measured.wall.as_secs_f64()),
                format!("{:.2} s", measured.cpu),
                format!("{:.1} MB", measured.peak_megabytes),
                format!("{:.1} MB", megabytes(&place)),
            ]);
        }
    }
    println!("{table}");
    println!("{}", included_types().await);
}

/// The smaller organization with 400 pipelines of six teams each, 60 suites, and a few of the other types: synced without them,
/// with each of the two types that teams carry, and with all.
async fn included_types() -> Table {
    let mut table = Table::new();
    table.set_header(["included", "latency", "wall", "CPU", "peak memory", "requests", "file"]);
    let all = IncludedType::ALL.map(|included| included.to_string()).join(",");
    for latency in [0, 50] {
        for included in ["", "pipeline", "suite", all.as_str()] {
            let options = Options {
                seed: Seed::Sized(Size {
                    teams: 250,
                    members_per_team: 20,
                    people: 2_000,
                    pipelines: 400,
                    suites: 60,
                    registries: 20,
                    teams_per_object: 6,
                    clusters: 5,
                    invitations: 20,
                    seed: 7,
                }),
                latency: Duration::from_millis(latency),
                limits: LimitOptions::unlimited(),
                ..Options::default()
            };
            let sandbox = Sandbox::start(options).await.unwrap();
            let directory = tempfile::tempdir().unwrap();
            let place = directory.path().join("access.c1z");
            let job = start(&sandbox, &place, included);
            let measured = tokio::task::spawn_blocking(move || measure(job)).await.unwrap();
            table.add_row([
                if included.is_empty() { "none" } else { included }.to_owned(),
                format!("{latency} ms"),
                format!("{:.2} s", measured.wall.as_secs_f64()),
                format!("{:.2} s", measured.cpu),
                format!("{:.1} MB", measured.peak_megabytes),
                sandbox.request_log().total().to_string(),
                format!("{:.1} MB", megabytes(&place)),
            ]);
        }
    }
    table
}

/// Starts the job with a token that has every scope.
fn start(sandbox: &Sandbox, place: &Path, included: &str) -> Child {
    let token = sandbox.mint(TokenSpec::owned_by(sandbox.owner()).with_scopes(&ALL_SCOPES));
    Command::new(env!("CARGO_BIN_EXE_buildkite-connector"))
        .args(["sync", "--output"])
        .arg(place)
        .env("BUILDKITE_REST_URL", sandbox.url())
        .env("BUILDKITE_ORGANIZATION_SLUG", sandbox.slug())
        .env("BUILDKITE_API_TOKEN", token.expose_secret())
        .env("BUILDKITE_CONNECTOR_INCLUDE", included)
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn megabytes(place: &Path) -> f64 {
    let of = |path: &Path| fs::metadata(path).unwrap().len();
    let bytes: u64 = if place.is_dir() {
        fs::read_dir(place)
            .unwrap()
            .map(|entry| of(&entry.unwrap().path()))
            .sum()
    } else {
        of(place)
    };
    f64::from(u32::try_from(bytes / 1_000).unwrap()) / 1_000.0
}
