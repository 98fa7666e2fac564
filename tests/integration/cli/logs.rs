//! Logs: JSON without a terminal, and never a secret at any level.

use buildkite_connector::proto::c1::connector::v2::ResourcesServiceListResourcesRequest;
use buildkite_connector::proto::c1::connector::v2::resources_service_client::ResourcesServiceClient;
use buildkite_connector::sandbox::{LimitOptions, Options, Sandbox};
use rstest::rstest;
use secrecy::ExposeSecret;
use serde_json::Value;

use super::serving::serve_sandbox;
use crate::support::process::{ConnectorProcess, channel, connector};

#[test]
fn every_line_of_the_log_is_json_with_a_time_a_level_and_a_message() {
    let mut server = serve_sandbox("127.0.0.1:0");
    server.address();
    let printed = server.terminate().printed;
    for line in &printed {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        for field in ["timestamp", "level", "message", "target"] {
            assert!(event[field].is_string(), "{field} is missing in {line}");
        }
    }
    assert!(
        printed.last().unwrap().contains("\"message\":\"ended\""),
        "{printed:#?}"
    );
}

#[rstest]
#[case::text(&["--log-format", "text"], false)]
#[case::console(&["--log-format=console"], false)]
#[case::json(&["--log-format", "json"], true)]
#[case::auto(&["--log-format", "auto"], true)]
#[case::default(&[], true)]
fn the_format_is_chosen_and_is_json_without_a_terminal(#[case] format: &[&str], #[case] is_json: bool) {
    let mut command = connector(&["serve", "--sandbox", "--listen", "127.0.0.1:0"]);
    let mut server = ConnectorProcess::start({
        command.args(format);
        command
    });
    let line = server.line("serving");
    assert_eq!(serde_json::from_str::<Value>(&line).is_ok(), is_json, "{line}");
}

#[test]
fn another_format_is_refused_with_those_that_there_are() {
    let mut command = connector(&["list", "teams", "--sandbox"]);
    command.env("BUILDKITE_CONNECTOR_LOG_FORMAT", "xml");
    let refused = command.output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert_eq!(
        String::from_utf8(refused.stderr).unwrap(),
        "error: --log-format (BUILDKITE_CONNECTOR_LOG_FORMAT): give `auto`, `json` or `text`\n"
    );
}

#[test]
fn an_empty_filter_is_none() {
    let mut command = connector(&["serve", "--sandbox", "--listen", "127.0.0.1:0"]);
    command.env("BUILDKITE_CONNECTOR_LOG", "");
    ConnectorProcess::start(command).event("serving");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_token_is_never_printed_even_where_everything_is_logged() {
    let sandbox = Sandbox::start(Options {
        limits: LimitOptions::unlimited(),
        ..Options::default()
    })
    .await
    .unwrap();
    let token = sandbox.token().expose_secret();
    let mut command = connector(&["serve", "--listen", "127.0.0.1:0", "--log", "trace"]);
    command
        .env("BUILDKITE_REST_URL", sandbox.url())
        .env("BUILDKITE_ORGANIZATION_SLUG", sandbox.slug())
        .env("BUILDKITE_API_TOKEN", token);
    let mut server = ConnectorProcess::start(command);
    let mut resources = ResourcesServiceClient::new(channel(&server.address()).await);
    let request = ResourcesServiceListResourcesRequest {
        resource_type_id: "team".to_owned(),
        ..Default::default()
    };
    assert_eq!(
        resources
            .list_resources(request.clone())
            .await
            .unwrap()
            .into_inner()
            .list
            .len(),
        7
    );
    sandbox.revoke(sandbox.token());
    resources.list_resources(request).await.unwrap_err();
    let printed = server.terminate().printed;
    assert!(printed.len() > 20, "{printed:#?}");
    let secret = token.trim_start_matches("bkua_");
    let telling = printed.iter().find(|line| line.contains(secret));
    assert_eq!(telling, None);
}

#[test]
fn a_token_in_a_file_is_never_printed_either() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    std::fs::write(&path, "bkua_0123456789abcdef\n").unwrap();
    let mut command = connector(&["serve", "--listen", "127.0.0.1:0", "--log", "trace"]);
    command
        .env("BUILDKITE_REST_URL", "http://127.0.0.1:9")
        .env("BUILDKITE_ORGANIZATION_SLUG", "acme")
        .env("BUILDKITE_API_TOKEN_FILE", &path);
    let mut server = ConnectorProcess::start(command);
    server.address();
    let printed = server.terminate().printed;
    let telling = printed.iter().find(|line| line.contains("0123456789abcdef"));
    assert_eq!(telling, None);
}
