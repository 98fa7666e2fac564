//! Full syncs over loopback against the sandbox, asked for one by one as the real client does: wall time, and the server's own
//! CPU, peak memory and requests. The server is the real binary in a process of its own.
//!
//! `cargo bench --bench sync`, or with `-- quick` for the smaller organization alone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use buildkite_connector::sandbox::{LimitOptions, Options, Sandbox};
use comfy_table::Table;
use secrecy::ExposeSecret;
use support::{Platform, sized};
use tonic::transport::Endpoint;

/// Teams, members of each, people.
const SIZES: [(usize, usize, usize); 2] = [(250, 20, 2_000), (2_000, 150, 50_000)];

struct Served {
    child: Child,
    address: String,
}

impl Served {
    fn start(sandbox: &Sandbox, read_ahead: usize) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_buildkite-connector"))
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--read-ahead",
                &read_ahead.to_string(),
            ])
            .env("BUILDKITE_REST_URL", sandbox.url())
            .env("BUILDKITE_ORGANIZATION_SLUG", sandbox.slug())
            .env("BUILDKITE_API_TOKEN", sandbox.token().expose_secret())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let serving = lines
            .find_map(|line| line.ok().filter(|line| line.contains("\"serving\"")))
            .unwrap();
        let serving: serde_json::Value = serde_json::from_str(&serving).unwrap();
        // The rest is read and dropped, so that the child never waits for its log.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            address: serving["address"].as_str().unwrap().to_owned(),
        }
    }

    /// Seconds that the process' threads have run.
    fn cpu(&self) -> f64 {
        let threads = fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let nanoseconds: u64 = threads
            .map(|thread| fs::read_to_string(thread.unwrap().path().join("schedstat")).unwrap())
            .map(|stat| stat.split(' ').next().unwrap().parse::<u64>().unwrap())
            .sum();
        Duration::from_nanos(nanoseconds).as_secs_f64()
    }

    fn peak_megabytes(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[tokio::main]
async fn main() {
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
            let served = Served::start(&sandbox, read_ahead);
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
                sandbox.journal().total().to_string(),
            ]);
        }
    }
    println!("{table}");
}
