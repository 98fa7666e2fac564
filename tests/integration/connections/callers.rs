//! The connections that the callers file allows.

use buildkite_connector::proto::connector::health::v1::scope_health_service_client::ScopeHealthServiceClient;
use buildkite_connector::proto::connector::health::v1::{ScopeState, WatchScopesRequest};
use futures::StreamExt;
use tonic::Code;

use super::{
    Files, assert_not_allowed, assert_reaches, assert_refused, caller_entry, client, ending, organization, refusal, two,
};
use crate::support::process::connector;
use crate::support::{ConnectorProcess, until_async};

const REQUIRED: &str = "CONNECTION_REQUIRED";

/// What a caller that may use nothing is told.
const NONE: &str =
    "the caller may use no connection: list those that it may use as `connections` in its entry of the callers file";

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_caller_uses_what_its_entries_list() {
    let (sandboxes, files) = (two().await, Files::new());
    let [northwind, acme] = &sandboxes;
    let umbrella = organization("umbrella", 3).await;
    files.configure(&(files.connections(&sandboxes) + &files.connection("umbrella", &umbrella, "")));
    let entries = [
        ("one", r#"["northwind"]"#),
        ("two", r#"["acme", "umbrella"]"#),
        ("all", r#"["*"]"#),
        ("mixed", r#"["*", "acme"]"#),
        ("nothing", "[]"),
        ("unlisted", ""),
        ("joined", r#"["acme"]"#),
        ("joined", r#"["northwind"]"#),
        ("joined", ""),
    ]
    .map(|(name, connections)| caller_entry(name, connections));
    let text: String = entries.iter().map(|(text, _)| text.as_str()).collect();
    let process = files.serve_callers(&text);
    let anybody = client(&process).await;
    let [
        one,
        two,
        all,
        mixed,
        nothing,
        unlisted,
        joined,
        joined_again,
        joined_last,
    ] = entries.map(|(_, bearer)| anybody.clone().bearer(&bearer));

    assert_reaches(&one, northwind).await;
    assert_reaches(&one.clone().about("northwind"), northwind).await;
    let forbidden = assert_not_allowed(&one.clone().about("acme")).await;
    assert_eq!(assert_not_allowed(&one.clone().about("absent")).await, forbidden);

    let listed = assert_refused(&two, Code::InvalidArgument, REQUIRED).await;
    assert!(listed.ends_with(": this caller may use `acme`, `umbrella`"), "{listed}");
    assert_reaches(&two.clone().about("umbrella"), &umbrella).await;
    assert_not_allowed(&two.about("northwind")).await;

    for caller in [all, mixed] {
        let listed = assert_refused(&caller, Code::InvalidArgument, REQUIRED).await;
        assert!(
            listed.ends_with(": this caller may use `acme`, `northwind`, `umbrella`"),
            "{listed}"
        );
        assert_reaches(&caller.clone().about("acme"), acme).await;
        assert_reaches(&caller.about("umbrella"), &umbrella).await;
    }
    for caller in [nothing, unlisted] {
        assert_eq!(assert_refused(&caller, Code::InvalidArgument, REQUIRED).await, NONE);
        assert_eq!(assert_not_allowed(&caller.about("northwind")).await, forbidden);
    }
    for caller in [joined, joined_again, joined_last] {
        assert_reaches(&caller.clone().about("acme"), acme).await;
        assert_reaches(&caller.clone().about("northwind"), northwind).await;
        let listed = assert_refused(&caller, Code::InvalidArgument, REQUIRED).await;
        assert!(
            listed.ends_with(": this caller may use `acme`, `northwind`"),
            "{listed}"
        );
    }
    assert_refused(&anybody.about("northwind"), Code::Unauthenticated, "CALLER_UNKNOWN").await;
    let warned: Vec<String> = named_in_warnings(&process);
    assert_eq!(warned, ["nothing", "unlisted"]);
}

/// The callers that the start has warned of.
fn named_in_warnings(process: &ConnectorProcess) -> Vec<String> {
    let warnings = process
        .printed
        .iter()
        .filter(|line| line.contains("may use none of the"));
    warnings
        .map(|line| {
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            event["caller"].as_str().unwrap().to_owned()
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_entry_without_connections_may_use_the_single_one() {
    let ([northwind, _], files) = (two().await, Files::new());
    files.configure(&files.connection("northwind", &northwind, ""));
    let entries = [
        ("unlisted", ""),
        ("named", r#"["northwind"]"#),
        ("all", r#"["*"]"#),
        ("nothing", "[]"),
    ]
    .map(|(name, connections)| caller_entry(name, connections));
    let text: String = entries.iter().map(|(text, _)| text.as_str()).collect();
    let process = files.serve_callers(&text);
    let anybody = client(&process).await;
    let [unlisted, named, all, nothing] = entries.map(|(_, bearer)| anybody.clone().bearer(&bearer));
    for caller in [unlisted, named, all] {
        assert_reaches(&caller, &northwind).await;
        assert_reaches(&caller.clone().about("northwind"), &northwind).await;
        assert_not_allowed(&caller.about("acme")).await;
    }
    assert_eq!(assert_refused(&nothing, Code::InvalidArgument, REQUIRED).await, NONE);
    assert_not_allowed(&nothing.about("northwind")).await;
    assert_eq!(named_in_warnings(&process), ["nothing"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_caller_that_names_an_unknown_connection_stops_the_start() {
    let (sandboxes, files) = (two().await, Files::new());
    files.configure(&files.connections(&sandboxes));
    let callers = files.path("callers.toml");
    let arguments = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--callers",
        callers.to_str().unwrap(),
    ];
    let begin = format!("--callers (BUILDKITE_CONNECTOR_CALLERS): {}: ", callers.display());
    let cases = [
        (
            r#"["acme", "arctic"]"#,
            "the caller `platform` names the connection `arctic`, which does not exist: name one of the configuration file",
        ),
        (
            r#"["North Wind"]"#,
            "the caller `platform` lists `North Wind` as a connection, which is no name of one: give names, or `*` for all",
        ),
    ];
    for (connections, sentence) in cases {
        files.write("callers.toml", &caller_entry("platform", connections).0);
        assert_eq!(files.refusal(&arguments).await, format!("{begin}{sentence}"));
    }

    // No connection has a name without a file.
    files.write("callers.toml", &caller_entry("platform", r#"["northwind"]"#).0);
    let mut command = connector(&arguments);
    command
        .env("BUILDKITE_ORGANIZATION_SLUG", "northwind-rail")
        .env("BUILDKITE_API_TOKEN", "bkua_0123456789abcdef");
    let refused = refusal(command).await;
    assert!(
        refused.contains("`platform` names the connection `northwind`, which does not exist"),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_stream_ends_when_its_caller_loses_the_connection() {
    let (sandboxes, files) = (two().await, Files::new());
    files.configure(&files.connections(&sandboxes));
    let (text, bearer) = caller_entry("platform", r#"["acme", "northwind"]"#);
    let mut process = files.serve_callers(&text);
    let caller = client(&process).await.bearer(&bearer);
    let watch = async |connection| {
        let mut client = ScopeHealthServiceClient::new(caller.clone().about(connection));
        let mut stream = client.watch_scopes(WatchScopesRequest {}).await.unwrap().into_inner();
        stream.next().await.unwrap().unwrap();
        stream
    };
    let (mut kept, lost) = (watch("acme").await, watch("northwind").await);
    files.write("callers.toml", &text.replace(r#"["acme", "northwind"]"#, r#"["acme"]"#));
    process.signal("HUP");
    process.event("callers: the changed files are in use");
    assert_eq!(
        ending(lost).await,
        (Code::PermissionDenied, "CONNECTION_NOT_ALLOWED".to_owned())
    );
    // The other goes on: it has news of its connection.
    files.configure("unusable");
    process.signal("HUP");
    until_async("news of the file", async || {
        let news = kept.next().await.unwrap().unwrap();
        let mut checks = news.checks.iter();
        checks.any(|check| check.id == "configuration" && check.state() == ScopeState::Degraded)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_stream_of_an_entry_without_connections_ends_when_there_are_several() {
    let (sandboxes, files) = (two().await, Files::new());
    files.configure(&files.connection("northwind", &sandboxes[0], ""));
    let (text, bearer) = caller_entry("platform", "");
    let mut process = files.serve_callers(&text);
    let mut client = ScopeHealthServiceClient::new(client(&process).await.bearer(&bearer));
    let mut stream = client.watch_scopes(WatchScopesRequest {}).await.unwrap().into_inner();
    stream.next().await.unwrap().unwrap();
    files.configure(&files.connections(&sandboxes));
    process.signal("HUP");
    process.event("configuration: the changed files are in use");
    assert_eq!(
        ending(stream).await,
        (Code::PermissionDenied, "CONNECTION_NOT_ALLOWED".to_owned())
    );
}
