//! The end of the process: its exit codes, with clients in any state.

use std::io::{Read, Write};
use std::net::TcpStream;

use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::support::Platform;
use crate::support::process::{ConnectorProcess, connector};
use crate::support::scripted::Scripted;

fn serve(url: &str, arguments: &[&str]) -> ConnectorProcess {
    let mut command = connector(&["serve", "--listen", "127.0.0.1:0"]);
    command
        .args(arguments)
        .env("BUILDKITE_ORGANIZATION_SLUG", "acme")
        .env("BUILDKITE_API_TOKEN", "bkua_0123456789abcdef0123456789abcdef01234567")
        .env("BUILDKITE_REST_URL", url);
    ConnectorProcess::start(command)
}

/// A connection whose client says hello, and then neither reads nor writes.
fn stuck(address: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .unwrap();
    stream.read_exact(&mut [0; 9]).unwrap();
    stream
}

/// A server on a Buildkite that never answers, with a call on it that therefore waits.
async fn with_a_call_that_waits(
    arguments: &[&str],
) -> (ConnectorProcess, std::net::TcpListener, tokio::task::JoinHandle<()>) {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut server = serve(&format!("http://{}", silent.local_addr().unwrap()), arguments);
    let endpoint = tonic::transport::Endpoint::try_from(format!("http://{}", server.address())).unwrap();
    let channel = endpoint.connect().await.unwrap();
    let call = tokio::spawn(async move {
        let _ = Platform::new(channel).resources("user").await;
    });
    // The second connection is the call's; the first is the process's own look at health.
    for _ in 0..2 {
        std::mem::forget(silent.accept().unwrap());
    }
    (server, silent, call)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_watching_and_stuck_clients_do_not_keep_it_from_ending_with_0() {
    let buildkite = Scripted::start(|_| crate::support::scripted::json(&serde_json::json!({}))).await;
    // A drain time that never ends: a server that needs it hangs the test.
    let mut server = serve(&buildkite.url, &["--drain", "1h"]);
    let address = server.address();
    let endpoint = tonic::transport::Endpoint::try_from(format!("http://{address}")).unwrap();
    let idle = endpoint.connect().await.unwrap();
    let watched = endpoint.connect().await.unwrap();
    let mut watch = HealthClient::new(watched)
        .watch(HealthCheckRequest::default())
        .await
        .unwrap()
        .into_inner();
    watch.message().await.unwrap().unwrap();
    let stuck = stuck(&address);
    let ended = server.terminate();
    assert_eq!(ended.status.code(), Some(0), "{:#?}", ended.printed);
    drop((idle, watch, stuck));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_waits_is_cut_off_by_the_drain_and_the_code_is_0() {
    let (server, _silent, call) = with_a_call_that_waits(&["--drain", "1s"]).await;
    let ended = server.terminate();
    assert_eq!(ended.status.code(), Some(0), "{:#?}", ended.printed);
    let details = "some calls did not finish in time and were cut off";
    assert!(
        ended.printed.iter().any(|line| line.contains(details)),
        "{:#?}",
        ended.printed
    );
    call.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_it_at_once_with_130() {
    let (mut server, _silent, call) = with_a_call_that_waits(&[]).await;
    server.signal("TERM");
    server.event("ending");
    server.signal("INT");
    let ended = server.ended();
    assert_eq!(ended.status.code(), Some(130), "{:#?}", ended.printed);
    call.await.unwrap();
}
