//! `serve`: it answers, it ends with 0, and a Unix socket is its owner's alone.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use buildkite_connector::proto::c1::connector::v2::ConnectorServiceValidateRequest;
use buildkite_connector::proto::c1::connector::v2::connector_service_client::ConnectorServiceClient;
use rstest::rstest;
use tonic::Code;

use crate::support::process::{ConnectorProcess, channel, connector};

pub fn serve_sandbox(listen: &str) -> ConnectorProcess {
    ConnectorProcess::start(connector(&["serve", "--sandbox", "--listen", listen]))
}

async fn validate(address: &str) {
    let mut connector = ConnectorServiceClient::new(channel(address).await);
    connector
        .validate(ConnectorServiceValidateRequest::default())
        .await
        .unwrap();
}

#[rstest]
#[case("TERM")]
#[case("INT")]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_sandboxed_server_validates_and_ends_with_0(#[case] signal: &str) {
    let mut server = serve_sandbox("127.0.0.1:0");
    validate(&server.address()).await;
    server.signal(signal);
    let ended = server.ended();
    assert_eq!(ended.status.code(), Some(0), "{:#?}", ended.printed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_unix_socket_is_its_owners_and_goes_with_the_server() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let mut server = serve_sandbox(&format!("unix:{}", path.display()));
    validate(&server.address()).await;
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(server.terminate().status.code(), Some(0));
    assert!(!path.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_socket_of_a_process_that_is_gone_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let mut server = serve_sandbox(&format!("unix:{}", path.display()));
    validate(&server.address()).await;
    assert_eq!(server.terminate().status.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_address_that_is_taken_is_refused_with_2() {
    let mut server = serve_sandbox("127.0.0.1:0");
    let address = server.address();
    let second = serve_sandbox(&address).ended();
    assert_eq!(second.status.code(), Some(2));
    let begin = format!("error: --listen (BUILDKITE_CONNECTOR_LISTEN): cannot listen on {address}: ");
    assert!(
        second.printed.iter().any(|line| line.starts_with(&begin)),
        "{:#?}",
        second.printed
    );
    assert_eq!(server.terminate().status.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_server_starts_while_buildkite_is_unreachable() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut command = connector(&["serve", "--listen", "127.0.0.1:0", "--retry-for", "1ms"]);
    command
        .env("BUILDKITE_ORGANIZATION_SLUG", "acme")
        .env("BUILDKITE_API_TOKEN", "bkua_0123456789abcdef")
        .env("BUILDKITE_REST_URL", format!("http://{gone}"));
    let mut server = ConnectorProcess::start(command);
    let mut connector = ConnectorServiceClient::new(channel(&server.address()).await);
    let mut request = tonic::Request::new(ConnectorServiceValidateRequest::default());
    request.set_timeout(std::time::Duration::from_secs(2));
    let status = connector.validate(request).await.unwrap_err();
    assert!(
        matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded),
        "{status:?}"
    );
    assert_eq!(server.terminate().status.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_hangup_has_the_files_read_again_and_ends_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (token, callers) = (directory.path().join("token"), directory.path().join("callers.toml"));
    std::fs::write(&token, "bkua_0123456789abcdef").unwrap();
    std::fs::write(&callers, "").unwrap();
    let mut command = connector(&["serve", "--listen", "127.0.0.1:0", "--organization", "acme"]);
    command
        .args(["--api-url", "http://127.0.0.1:1", "--api-token-file"])
        .arg(&token);
    command.arg("--callers").arg(&callers);
    let mut server = ConnectorProcess::start(command);
    let address = server.address();
    for entries in ["# one\n", "# two\n"] {
        std::fs::write(&callers, entries).unwrap();
        server.signal("HUP");
        server.event("SIGHUP: credentials, certificates, callers and configuration are read again");
        server.event("callers: the changed files are in use");
    }
    std::fs::write(&token, "bkua_another123456789").unwrap();
    server.signal("HUP");
    server.event("the token file changed: the new token is in use");
    let mut connector = ConnectorServiceClient::new(channel(&address).await);
    let status = connector.validate(ConnectorServiceValidateRequest::default()).await;
    assert_eq!(
        status.unwrap_err().code(),
        Code::Unauthenticated,
        "the callers file has no entry"
    );
    assert_eq!(server.terminate().status.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn pipes_in_place_of_files_are_refused_and_hold_up_no_call_and_no_end() {
    let directory = tempfile::tempdir().unwrap();
    let files = ["token", "callers.toml"].map(|name| directory.path().join(name));
    // A callers file without an entry.
    for (file, holding) in files.iter().zip(["bkua_0123456789abcdef", ""]) {
        std::fs::write(file, holding).unwrap();
    }
    let [token, callers] = &files;
    let mut command = connector(&["serve", "--listen", "127.0.0.1:0", "--organization", "acme"]);
    command
        .args(["--api-url", "http://127.0.0.1:1", "--api-token-file"])
        .arg(token);
    command.arg("--callers").arg(callers);
    let mut server = ConnectorProcess::start(command);
    let address = server.address();
    for file in &files {
        std::fs::remove_file(file).unwrap();
    }
    // Pipes without a writer.
    let made = std::process::Command::new("mkfifo").args(&files).status().unwrap();
    assert!(made.success());
    // Each file is read by itself, so either may be rejected first.
    let [token, callers] = server.events([
        "the token file cannot be used",
        "callers: the changed files cannot be used",
    ]);
    assert!(
        token["error"].as_str().unwrap().contains("BUILDKITE_API_TOKEN"),
        "{token}"
    );
    assert!(callers["message"].as_str().unwrap().contains("a pipe"), "{callers}");
    let mut connector = ConnectorServiceClient::new(channel(&address).await);
    let mut request = tonic::Request::new(ConnectorServiceValidateRequest::default());
    request.set_timeout(std::time::Duration::from_secs(10));
    let status = connector.validate(request).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated, "{status:?}");
    assert_eq!(server.terminate().status.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_protected_name_that_leads_to_nothing_is_an_error_in_the_log_and_reads_are_served() {
    let mut command = connector(&["serve", "--sandbox", "--provisioning", "--listen", "127.0.0.1:0"]);
    command.args(["--protect-team", "typo"]);
    let mut server = ConnectorProcess::start(command);
    let address = server.address();
    assert_eq!(server.event("--protect-team names `typo`")["level"], "ERROR");
    let mut connector = ConnectorServiceClient::new(channel(&address).await);
    connector
        .validate(ConnectorServiceValidateRequest::default())
        .await
        .unwrap();
    drop(connector);
    assert_eq!(server.terminate().status.code(), Some(0));
}
