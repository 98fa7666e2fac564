//! A fair share for every caller: of the places, and of calls per second.

use std::num::NonZeroU32;
use std::time::Duration;

use buildkite_connector::grpc::server::{BearerToken, Callers, Limits, ServerOptions};
use tonic::Code;
use tonic::metadata::MetadataMap;

use super::callers::entry;
use super::raw::{RawCall, RawClient};
use super::requests::{bearer, call, reason_of};
use crate::support::{TestServer, details, sandbox, sized, until_async};

const READ: &str = "/c1.connector.v2.ResourceTypesService/ListResourceTypes";
const RATES: &str = "/c1.ratelimit.v1.RateLimiterService/Report";
const PROBE: &str = "/grpc.health.v1.Health/Check";
const WATCH: &str = "/grpc.health.v1.Health/Watch";
const WATCH_SCOPES: &str = "/connector.health.v1.ScopeHealthService/WatchScopes";

/// Two callers in a file, their bearers, and the directory that holds it.
fn two_callers() -> (tempfile::TempDir, TwoCallers) {
    let made = [BearerToken::generate().unwrap(), BearerToken::generate().unwrap()];
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("callers.toml");
    let text = entry("nightly", "reader", &made[0]) + &entry("platform", "provisioner", &made[1]);
    std::fs::write(&file, text).unwrap();
    let [nightly, platform] = made.map(|made| made.bearer);
    let callers = TwoCallers {
        nightly,
        platform,
        file,
    };
    (directory, callers)
}

struct TwoCallers {
    nightly: String,
    platform: String,
    file: std::path::PathBuf,
}

fn few_places() -> Limits {
    Limits {
        calls: 4,
        streams: 4,
        // What is held stays held.
        unread_timeout: Duration::from_secs(3600),
        ..Limits::default()
    }
}

/// Holds as many places as it is given, of at most five: the calls, and the reason that ended it.
async fn hold(server: &TestServer, path: &str, bearer: Option<&str>) -> (Vec<RawCall>, RawClient, String) {
    let client = RawClient::connect(server.address, 0).await;
    let mut held = vec![];
    for _ in 0..5 {
        let call = client.call(path, bearer).await.unwrap();
        if let Some(refusal) = call.refusal() {
            assert_eq!(details(&refusal).code, Code::Unavailable);
            assert!(details(&refusal).retry.is_some());
            return (held, client, reason_of(&refusal));
        }
        held.push(call);
    }
    (held, client, String::new())
}

#[tokio::test]
async fn no_caller_of_the_file_holds_more_than_half_of_the_places() {
    let (_directory, callers) = two_callers();
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let options = ServerOptions {
        callers: Some(Callers::watch(callers.file, false).unwrap()),
        limits: few_places(),
        ..ServerOptions::default()
    };
    let server = TestServer::with_options(&sandbox, options).await;
    for path in [READ, WATCH_SCOPES, WATCH] {
        let (first, _first, reason) = hold(&server, path, Some(&callers.nightly)).await;
        assert_eq!((first.len(), &*reason), (2, "OVERLOADED"), "{path}");
        let (second, _second, reason) = hold(&server, path, Some(&callers.platform)).await;
        assert_eq!((second.len(), &*reason), (2, "OVERLOADED"), "{path}");
    }
}

#[tokio::test]
async fn without_a_callers_file_there_are_no_shares() {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let options = ServerOptions {
        limits: few_places(),
        ..ServerOptions::default()
    };
    let server = TestServer::with_options(&sandbox, options).await;
    for path in [READ, WATCH_SCOPES] {
        let (held, _client, reason) = hold(&server, path, None).await;
        assert_eq!((held.len(), &*reason), (4, "OVERLOADED"), "{path}");
    }
}

#[tokio::test]
async fn a_caller_beyond_its_rate_gets_a_retry_delay_and_other_callers_and_probes_are_not_delayed() {
    let (_directory, callers) = two_callers();
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let options = ServerOptions {
        callers: Some(Callers::watch(callers.file, false).unwrap()),
        calls_per_second: NonZeroU32::new(1),
        ..ServerOptions::default()
    };
    let server = TestServer::with_options(&sandbox, options).await;
    let channel = server.channel().await;
    let shown = bearer(&callers.nightly);
    for _ in 0..5 {
        call(&channel, READ, &shown).await.unwrap();
    }
    let mut refused = None;
    until_async("a refusal", async || {
        refused = call(&channel, READ, &shown).await.err();
        refused.is_some()
    })
    .await;
    let refused = details(&refused.unwrap());
    assert_eq!((refused.code, &*refused.reason), (Code::Unavailable, "OVERLOADED"));
    let wait = refused.retry.unwrap();
    assert!(wait > Duration::ZERO && wait <= Duration::from_secs(1), "{wait:?}");

    for _ in 0..20 {
        call(&channel, PROBE, &shown).await.unwrap();
        let answer = call(&channel, RATES, &shown).await;
        assert!(answer.is_ok() || reason_of(&answer.unwrap_err()) != "OVERLOADED");
    }
    call(&channel, READ, &bearer(&callers.platform)).await.unwrap();
    until_async("the next call", async || call(&channel, READ, &shown).await.is_ok()).await;
}

#[tokio::test]
async fn without_a_callers_file_all_clients_share_one_rate() {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let options = ServerOptions {
        calls_per_second: NonZeroU32::new(1),
        ..ServerOptions::default()
    };
    let server = TestServer::with_options(&sandbox, options).await;
    let channels = [server.channel().await, server.channel().await];
    let mut turn = channels.iter().cycle();
    until_async("a refusal", async || {
        let answer = call(turn.next().unwrap(), READ, &MetadataMap::new()).await;
        answer.is_err_and(|status| reason_of(&status) == "OVERLOADED")
    })
    .await;
}
