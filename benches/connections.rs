//! Many connections in one process: from the start of `serve` until it listens, and the memory that it has then, with a file of one
//! connection and with one of a thousand. The process is the real binary, and no call uses a connection.
//!
//! `cargo bench --bench connections`

#![allow(clippy::unwrap_used, reason = "a bench that cannot go on has failed")]

#[path = "../tests/integration/support/mod.rs"]
mod support;
#[path = "support/usage.rs"]
mod usage;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Instant;

use comfy_table::Table;
use secrecy::ExposeSecret;
use support::process::{ConnectorProcess, connector};
use support::{Caller, Platform, sandbox, sized};
use tempfile::TempDir;
use usage::{peak_megabytes, resident_megabytes};

/// The numbers of connections.
const CONNECTIONS: [u32; 3] = [1, 100, 1_000];

/// How often each process is started; the median counts.
const STARTS: usize = 11;

/// Seconds until it listens and until its first response, and megabytes when it listens, after the response, and at the peak.
type Figures = [f64; 5];

#[tokio::main]
async fn main() {
    // `cargo test --all-targets` runs benches too, but not to measure.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let sandbox = sandbox(sized(1, 1, 3)).await;
    let mut table = Table::new();
    table.set_header([
        "connections",
        "until it listens",
        "until its first response",
        "memory at idle",
        "after a call",
        "at the peak",
        "for each idle connection",
    ]);
    let mut alone: Option<Figures> = None;
    for count in CONNECTIONS {
        let directory = files(count, sandbox.url(), sandbox.slug(), sandbox.token().expose_secret());
        let mut starts = Vec::new();
        for _ in 0..STARTS {
            starts.push(start(directory.path()).await);
        }
        let figures = [0, 1, 2, 3, 4].map(|column| median(starts.iter().map(|row| row[column])));
        let [listening, response, idle, used, peak] = figures;
        let each = alone.map_or_else(
            || "–".to_owned(),
            |alone| {
                format!(
                    "{:.1} KB",
                    (idle - alone[2]) * 1024.0 / f64::from(count - CONNECTIONS[0])
                )
            },
        );
        alone = alone.or(Some(figures));
        table.add_row([
            count.to_string(),
            format!("{:.0} ms", listening * 1_000.0),
            format!("{:.0} ms", response * 1_000.0),
            format!("{idle:.1} MB"),
            format!("{used:.1} MB"),
            format!("{peak:.1} MB"),
            each,
        ]);
    }
    println!("{table}");
}

/// A configuration file with this number of connections, each of which has a token file of its own.
fn files(count: u32, url: &str, slug: &str, token: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let mut text = format!("api_url = \"{url}\"\naudit_file = \"audit.jsonl\"\nprovisioning = true\n");
    for number in 0..count {
        let file = format!("token-{number}");
        fs::write(directory.path().join(&file), token).unwrap();
        writeln!(
            text,
            "[connection.c-{number}]\norganization = \"{slug}\"\napi_token_file = \"{file}\""
        )
        .unwrap();
    }
    fs::write(directory.path().join("connector.toml"), text).unwrap();
    directory
}

async fn start(directory: &Path) -> Figures {
    let mut command = connector(&["serve", "--listen", "127.0.0.1:0", "--config"]);
    command.arg(directory.join("connector.toml"));
    let began = Instant::now();
    let mut process = ConnectorProcess::start(command);
    process.address();
    let listening = began.elapsed().as_secs_f64();
    let idle = resident_megabytes(process.id());
    let caller = Caller::from(process.channel().await).about("c-0");
    Platform::new(&caller).types().await.unwrap();
    let response = began.elapsed().as_secs_f64();
    [
        listening,
        response,
        idle,
        resident_megabytes(process.id()),
        peak_megabytes(process.id()),
    ]
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
