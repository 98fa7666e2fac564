//! Full syncs over loopback against the sandbox, with one call at a time as the real client makes them: wall time, and the server's own
//! CPU, peak memory and requests. The server is the real binary in a process of its own.
//!
//! `cargo bench --bench sync`, or with `-- quick` for the smaller organization alone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../tests/integration/support/mod.rs"]
mod support;
#[path = "support/usage.rs"]
mod usage;

use std::time::{Duration, Instant};

use buildkite_connector::sandbox::{LimitOptions, Options, Sandbox};
use comfy_table::Table;
use support::{ConnectorProcess, sized};
use usage::{cpu_seconds, peak_megabytes};

/// Teams, members of each, people.
const SIZES: [(usize, usize, usize); 2] = [(250, 20, 2_000), (2_000, 150, 50_000)];

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
        "read-ahead",
        "wall",
        "CPU",
        "peak memory",
        "requests",
    ]);
    for (teams, members, people) in SIZES.into_iter().take(if quick { 1 } else { SIZES.len() }) {
        for (latency, read_ahead) in [(0, 0), (0, 16), (50, 0), (50, 16)] {
            let seed = sized(teams, members, people);
            let latency = Duration::from_millis(latency);
            let options = Options {
                seed,
                latency,
                limits: LimitOptions::unlimited(),
                ..Options::default()
            };
            let sandbox = Sandbox::start(options).await.unwrap();
            let mut process = ConnectorProcess::serve(&sandbox, &["--read-ahead", &read_ahead.to_string()]);
            process.address();
            let platform = process.platform().await;
            let (before, began) = (cpu_seconds(process.id()), Instant::now());
            let synced = platform.sync().await.unwrap();
            let (wall, cpu) = (began.elapsed(), cpu_seconds(process.id()) - before);
            assert_eq!(synced.teams.len(), teams);
            table.add_row([
                format!("{teams} × {members}, {people} people"),
                format!("{} ms", latency.as_millis()),
                if read_ahead == 0 {
                    "off".to_owned()
                } else {
                    read_ahead.to_string()
                },
                format!("{:.2} s", wall.as_secs_f64()),
                format!("{cpu:.3} s"),
                format!("{:.1} MB", peak_megabytes(process.id())),
                sandbox.request_log().total().to_string(),
            ]);
        }
    }
    println!("{table}");
}
