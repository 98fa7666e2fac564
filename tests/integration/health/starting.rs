//! `serve` with a failing Buildkite: it starts, logs the cause and the remedy in one line, and recovers by itself.

use buildkite_connector::sandbox::{BodyStyle, Endpoint, Fault, FaultKind, LimitOptions, Options, Sandbox};
use http::StatusCode;
use secrecy::ExposeSecret;

use crate::support::process::{ConnectorProcess, connector};

fn serve(sandbox_url: &str, slug: &str, token: &str) -> ConnectorProcess {
    let mut command = connector(&[
        "serve",
        "--listen=127.0.0.1:0",
        "--health-interval=100ms",
        "--retry-for=200ms",
        "--provisioning",
    ]);
    command
        .env("BUILDKITE_REST_URL", sandbox_url)
        .env("BUILDKITE_ORGANIZATION_SLUG", slug)
        .env("BUILDKITE_API_TOKEN", token);
    ConnectorProcess::start(command)
}

fn unlimited() -> Options {
    Options {
        limits: LimitOptions::unlimited(),
        ..Options::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_starts_while_buildkite_is_down() {
    let mut running = serve(
        "http://127.0.0.1:9",
        "northwind-rail",
        "bkua_0123456789abcdef0123456789abcdef01234567",
    );
    running.address();
    let report = running.event("buildkite: ");
    assert!(
        report["message"].as_str().unwrap().contains("cannot be reached"),
        "{report}"
    );
    assert_eq!(
        (&report["level"], &report["state"]),
        (&"WARN".into(), &"UNKNOWN".into())
    );
    assert!(
        report["remedy"].as_str().unwrap().contains("firewall and proxy"),
        "{report}"
    );
    assert!(running.terminate().status.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_starts_with_a_bad_token_and_heals_by_itself() {
    let sandbox = Sandbox::start(unlimited()).await.unwrap();
    let kind = FaultKind::Status(StatusCode::UNAUTHORIZED, BodyStyle::Message);
    let rejected = sandbox.faults().add(Fault::new(Endpoint::Any, kind));
    let token = sandbox.token().expose_secret();
    let mut running = serve(sandbox.url(), sandbox.slug(), token);
    running.address();
    let report = running.event("buildkite: ");
    assert!(
        report["message"].as_str().unwrap().contains("rejects the token"),
        "{report}"
    );
    assert!(
        report["remedy"]
            .as_str()
            .unwrap()
            .contains("https://buildkite.com/user/api-access-tokens/new")
    );
    rejected.remove();
    running.event("buildkite: everything that is needed works");
    let ended = running.terminate();
    assert!(ended.status.success());
    let warned = ended
        .printed
        .iter()
        .filter(|line| line.contains("rejects the token"))
        .count();
    assert_eq!(warned, 1, "{:#?}", ended.printed);
    assert!(!ended.printed.concat().contains(token));
}
