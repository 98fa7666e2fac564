//! The connector where a host starts it: a sync for a platform in service mode, beside the same sync as a job; and how soon a
//! plugin, and the child of a runner, make their first response, beside the server. Each is the real binary.
//!
//! `cargo bench --bench hosts`

#![allow(clippy::unwrap_used, reason = "a bench that cannot go on has failed")]

#[path = "../tests/integration/support/mod.rs"]
mod support;
#[path = "support/usage.rs"]
mod usage;

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use buildkite_connector::proto::c1::connectorapi::baton::v1::baton_service_finish_task_request::FinalState;
use buildkite_connector::proto::c1::connectorapi::baton::v1::task::{SyncFullTask, TaskType};
use buildkite_connector::sandbox::platform::{Platform, PlatformOptions};
use buildkite_connector::sandbox::{LimitOptions, Options, Sandbox};
use comfy_table::Table;
use support::plugin_host::{Certificate, dial, handshake, plugin, serving};
use support::process::{ConnectorProcess, connector, set_up};
use support::runner::{INHERIT, Runner, metadata};
use support::{sandbox, sized};
use usage::{cpu_seconds, measure, peak_megabytes};

/// Buildkite's latencies in milliseconds.
const LATENCIES: [u64; 2] = [0, 50];

/// Syncs of each kind in turn; the median counts.
const SYNCS: usize = 5;

/// How often each process is started.
const STARTS: usize = 21;

#[tokio::main]
async fn main() {
    // `cargo test --all-targets` runs benches too, but not to measure.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    println!("{}", syncs().await);
    println!("{}", starts().await);
}

/// Seconds, CPU seconds, peak megabytes, and megabytes of the file.
type Figures = [f64; 4];

async fn syncs() -> Table {
    let mut table = Table::new();
    table.set_header([
        "a sync of 250 × 20, 2,000 people",
        "latency",
        "wall",
        "CPU",
        "peak memory",
        "c1z",
    ]);
    for latency in LATENCIES {
        let options = Options {
            seed: sized(250, 20, 2_000),
            latency: Duration::from_millis(latency),
            limits: LimitOptions::unlimited(),
            ..Options::default()
        };
        let sandbox = Sandbox::start(options).await.unwrap();
        let (mut jobs, mut tasks, mut later) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..SYNCS {
            jobs.push(job(&sandbox).await);
            let [first, second] = service(&sandbox).await;
            tasks.push(first);
            later.push(second);
        }
        let rows = [
            ("job `sync`, from its start to its end", jobs),
            ("`service`, the first task, from its receipt to its report", tasks),
            ("`service`, the task after it", later),
        ];
        for (name, figures) in rows {
            let [wall, cpu, memory, file] = [0, 1, 2, 3].map(|column| median(figures.iter().map(|row| row[column])));
            table.add_row([
                name.to_owned(),
                format!("{latency} ms"),
                format!("{wall:.2} s"),
                format!("{cpu:.2} s"),
                format!("{memory:.1} MB"),
                format!("{file:.2} MB"),
            ]);
        }
    }
    table
}

async fn job(sandbox: &Sandbox) -> Figures {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("access.c1z");
    let mut command = connector(&["sync", "--output", place.to_str().unwrap()]);
    set_up(&mut command, sandbox, sandbox.token());
    let process = command.stderr(Stdio::null()).spawn().unwrap();
    let measured = tokio::task::spawn_blocking(move || measure(process)).await.unwrap();
    [
        measured.wall.as_secs_f64(),
        measured.cpu,
        measured.peak_megabytes,
        megabytes(fs::metadata(&place).unwrap().len()),
    ]
}

/// Two syncs, one after the other, in one process that was there before.
async fn service(sandbox: &Sandbox) -> [Figures; 2] {
    let files = tempfile::tempdir().unwrap();
    let platform = Platform::start(PlatformOptions::default(), files.path()).await.unwrap();
    let mut command = connector(&["service"]);
    set_up(&mut command, sandbox, sandbox.token());
    command
        .env("BATON_CLIENT_ID", platform.client_id())
        .env("BATON_CLIENT_SECRET_FILE", platform.client_secret_file())
        .env("BUILDKITE_CONNECTOR_PLATFORM_CA", platform.ca_file());
    let process = ConnectorProcess::start(command);
    platform.until(|ledger| !ledger.hellos.is_empty()).await;
    let mut figures = [[0.0; 4]; 2];
    for (number, figures) in figures.iter_mut().enumerate() {
        let id = platform.add(TaskType::SyncFull(SyncFullTask::default()));
        platform.until(|ledger| ledger.handed_out.contains(&id)).await;
        let (cpu, began) = (cpu_seconds(process.id()), Instant::now());
        let finished = platform.finished(&id).await;
        let wall = began.elapsed().as_secs_f64();
        assert!(matches!(finished.report.final_state, Some(FinalState::Success(_))));
        let file = platform.look(|ledger| ledger.uploads[number].bytes.len());
        *figures = [
            wall,
            cpu_seconds(process.id()) - cpu,
            peak_megabytes(process.id()),
            megabytes(u64::try_from(file).unwrap()),
        ];
    }
    process.kill();
    figures
}

async fn starts() -> Table {
    let sandbox = sandbox(sized(1, 1, 3)).await;
    let host = Certificate::new();
    let runner = Runner::new().await;
    let (mut server, mut socket, mut mtls, mut child) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..STARTS {
        server.push(start_server(&sandbox).await);
        socket.push(start_plugin(plugin(&sandbox), None).await);
        let mut command = plugin(&sandbox);
        command.env("PLUGIN_CLIENT_CERT", &host.pem);
        mtls.push(start_plugin(command, Some(&host)).await);
        child.push(start_child(&runner).await);
    }
    let mut table = Table::new();
    table.set_header([
        "from its start to its first response",
        "median",
        "least",
        "most",
        "peak memory",
    ]);
    let rows = [
        ("`serve`, over TCP", server),
        ("`plugin`, over its socket", socket),
        ("`plugin` with AutoMTLS, over its socket", mtls),
        ("`_connector-service`, over mutual TLS", child),
    ];
    for (name, started) in rows {
        let mut waits: Vec<f64> = started.iter().map(|(wait, _)| wait * 1_000.0).collect();
        waits.sort_by(f64::total_cmp);
        let shown = [waits[STARTS / 2], waits[0], waits[STARTS - 1]].map(|wait| format!("{wait:.1} ms"));
        let memory = median(started.iter().map(|(_, memory)| *memory));
        table.add_row(
            [name.to_owned()]
                .into_iter()
                .chain(shown)
                .chain([format!("{memory:.1} MB")]),
        );
    }
    table
}

async fn start_server(sandbox: &Sandbox) -> (f64, f64) {
    let began = Instant::now();
    let mut process = ConnectorProcess::serve(sandbox, &[]);
    process.address();
    metadata(&process.channel().await).await.unwrap();
    (began.elapsed().as_secs_f64(), peak_megabytes(process.id()))
}

async fn start_plugin(command: Command, shown: Option<&Certificate>) -> (f64, f64) {
    let began = Instant::now();
    let mut process = ConnectorProcess::start(command);
    let line = handshake(&mut process);
    assert!(serving(&dial(&line, shown).await.unwrap()).await.unwrap());
    (began.elapsed().as_secs_f64(), peak_megabytes(process.id()))
}

/// A runner with a listener that is there already; a shell passes it on, which takes about a millisecond.
async fn start_child(runner: &Runner) -> (f64, f64) {
    let (command, line) = (runner.shell(INHERIT, &["_connector-service"]), runner.line());
    let began = Instant::now();
    let (process, input) = runner.start(command, &line).await;
    let channel = runner.dial(runner.pki.client()).await.unwrap();
    metadata(&channel).await.unwrap();
    let started = (began.elapsed().as_secs_f64(), peak_megabytes(process.id()));
    drop((channel, input));
    let ended = tokio::task::spawn_blocking(|| process.ended()).await.unwrap();
    assert!(ended.status.success());
    started
}

fn megabytes(bytes: u64) -> f64 {
    f64::from(u32::try_from(bytes).unwrap()) / 1e6
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
