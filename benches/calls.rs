//! Calls that need nothing of Buildkite, over loopback: how many a second; and how soon after its start the server answers.
//! The server is the real binary in a process of its own; the client runs on the same machine and takes its share of it.
//!
//! `cargo bench --bench calls`

#![allow(clippy::unwrap_used, reason = "a bench that cannot go on has failed")]

#[path = "../tests/integration/support/mod.rs"]
mod support;
#[path = "support/usage.rs"]
mod usage;

use std::pin::Pin;
use std::time::{Duration, Instant};

use buildkite_connector::proto::c1::connector::v2::connector_service_client::ConnectorServiceClient;
use buildkite_connector::proto::c1::connector::v2::entitlements_service_client::EntitlementsServiceClient;
use buildkite_connector::proto::c1::connector::v2::resource_types_service_client::ResourceTypesServiceClient;
use buildkite_connector::proto::c1::connector::v2::{
    ConnectorServiceGetMetadataRequest, EntitlementsServiceListEntitlementsRequest, Resource, ResourceId,
    ResourceTypesServiceListResourceTypesRequest,
};
use buildkite_connector::proto::connector::health::v1::CheckScopesRequest;
use buildkite_connector::proto::connector::health::v1::scope_health_service_client::ScopeHealthServiceClient;
use buildkite_connector::sandbox::{LimitOptions, Options, Sandbox};
use comfy_table::Table;
use futures::future::join_all;
use support::ConnectorProcess;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use usage::{cpu_seconds, peak_megabytes};

/// How long each kind of call is made.
const TIME: Duration = Duration::from_secs(3);

/// Calls at once on the one connection.
const AT_ONCE: [usize; 2] = [1, 64];

/// How often the server is started.
const STARTS: usize = 21;

type Answered = Pin<Box<dyn Future<Output = ()> + Send>>;
type Ask = fn(Channel) -> Answered;

const CALLS: [(&str, Ask); 5] = [
    ("grpc.health.v1 Check", check),
    ("GetMetadata", metadata),
    ("ListResourceTypes", types),
    ("ListEntitlements of a team", entitlements),
    ("CheckScopes", scopes),
];

#[tokio::main]
async fn main() {
    // `cargo test --all-targets` runs benches too, but not to measure.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let options = Options {
        limits: LimitOptions::unlimited(),
        ..Options::default()
    };
    let sandbox = Sandbox::start(options).await.unwrap();
    println!("{}", starts(&sandbox).await);
    println!("{}", calls(&sandbox).await);
}

async fn starts(sandbox: &Sandbox) -> Table {
    let (mut said, mut answered, mut memory) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let spawned = Instant::now();
        let mut process = ConnectorProcess::serve(sandbox, &[]);
        process.address();
        said.push(spawned.elapsed().as_secs_f64() * 1_000.0);
        check(process.channel().await).await;
        answered.push(spawned.elapsed().as_secs_f64() * 1_000.0);
        // Its first check of the token's scopes is over when this call returns.
        scopes(process.channel().await).await;
        memory.push(peak_megabytes(process.id()));
    }
    let mut table = Table::new();
    table.set_header(["from its start", "median", "least", "most"]);
    for (name, unit, mut values) in [
        ("until it says `serving`", "ms", said),
        ("until its first answer", "ms", answered),
        ("peak memory while nobody asks", "MB", memory),
    ] {
        values.sort_by(f64::total_cmp);
        let shown = [values[STARTS / 2], values[0], values[STARTS - 1]].map(|value| format!("{value:.1} {unit}"));
        table.add_row([name.to_owned()].into_iter().chain(shown));
    }
    table
}

async fn calls(sandbox: &Sandbox) -> Table {
    let mut process = ConnectorProcess::serve(sandbox, &[]);
    process.address();
    let channel = process.channel().await;
    scopes(channel.clone()).await;
    let requests = sandbox.request_log().total();
    let mut table = Table::new();
    table.set_header(["call", "at once", "calls a second", "server's CPU a call", "p50", "p99"]);
    for (name, ask) in CALLS {
        for at_once in AT_ONCE {
            let (before, began) = (cpu_seconds(process.id()), Instant::now());
            let mut took = made(&channel, ask, at_once).await;
            let (wall, cpu) = (began.elapsed().as_secs_f64(), cpu_seconds(process.id()) - before);
            took.sort_unstable();
            let of = |percent: usize| {
                format!(
                    "{:.2} ms",
                    took[(took.len() - 1) * percent / 100].as_secs_f64() * 1_000.0
                )
            };
            let count = f64::from(u32::try_from(took.len()).unwrap());
            table.add_row([
                name.to_owned(),
                at_once.to_string(),
                format!("{:.0}", count / wall),
                format!("{:.0} µs", cpu / count * 1_000_000.0),
                of(50),
                of(99),
            ]);
        }
    }
    assert_eq!(sandbox.request_log().total(), requests, "a call asked Buildkite");
    table
}

/// The duration of each call made in `TIME`, with `at_once` calls in flight.
async fn made(channel: &Channel, ask: Ask, at_once: usize) -> Vec<Duration> {
    let end = Instant::now() + TIME;
    let askers = (0..at_once).map(|_| {
        let channel = channel.clone();
        tokio::spawn(async move {
            let mut took = Vec::new();
            while Instant::now() < end {
                let began = Instant::now();
                ask(channel.clone()).await;
                took.push(began.elapsed());
            }
            took
        })
    });
    join_all(askers).await.into_iter().flat_map(Result::unwrap).collect()
}

fn check(channel: Channel) -> Answered {
    Box::pin(async {
        let request = HealthCheckRequest::default();
        HealthClient::new(channel).check(request).await.unwrap();
    })
}

fn metadata(channel: Channel) -> Answered {
    Box::pin(async {
        let request = ConnectorServiceGetMetadataRequest::default();
        ConnectorServiceClient::new(channel)
            .get_metadata(request)
            .await
            .unwrap();
    })
}

fn types(channel: Channel) -> Answered {
    Box::pin(async {
        let request = ResourceTypesServiceListResourceTypesRequest::default();
        let mut client = ResourceTypesServiceClient::new(channel);
        client.list_resource_types(request).await.unwrap();
    })
}

fn entitlements(channel: Channel) -> Answered {
    Box::pin(async {
        let id = ResourceId {
            resource_type: "team".to_owned(),
            resource: "01890a5d-ac96-774b-bcce-b302099a8057".to_owned(),
            ..Default::default()
        };
        let resource = Resource {
            id: Some(id),
            ..Default::default()
        };
        let request = EntitlementsServiceListEntitlementsRequest {
            resource: Some(resource),
            ..Default::default()
        };
        let mut client = EntitlementsServiceClient::new(channel);
        client.list_entitlements(request).await.unwrap();
    })
}

fn scopes(channel: Channel) -> Answered {
    Box::pin(async {
        let request = CheckScopesRequest::default();
        ScopeHealthServiceClient::new(channel)
            .check_scopes(request)
            .await
            .unwrap();
    })
}
