//! Full syncs over loopback against the sandbox, asked for one by one as the real client does: wall time, and the server's own
//! CPU, peak memory and requests. The server is the real binary in a process of its own.
//!
//! `cargo bench --bench sync`, or with `-- quick` for the smaller organization alone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/served.rs"]
mod served;
#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use buildkite_connector::sandbox::{LimitOptions, Options, Sandbox};
use comfy_table::Table;
use served::Served;
use support::{Platform, sized};
use tonic::transport::Endpoint;

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
            let served = Served::start(&sandbox, &["--read-ahead", &read_ahead.to_string()]);
            let channel = Endpoint::try_from(format!("http://{}", served.address))
                .unwrap()
                .connect()
                .await
                .unwrap();
            let (before, began) = (served.cpu(), Instant::now());
            let synced = Platform::new(channel).sync().await.unwrap();
            let (wall, cpu) = (began.elapsed(), served.cpu() - before);
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
                format!("{:.1} MB", served.peak_megabytes()),
                sandbox.request_log().total().to_string(),
            ]);
        }
    }
    println!("{table}");
}
