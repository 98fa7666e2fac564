//! What is printed, and how a connector in service mode is asked how it is.

use std::process::{Command, Stdio};

use rstest::rstest;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::linked::{Linked, printed};
use crate::export::job::ended;

async fn json(command: Command) -> (String, Value) {
    let printed = printed(ended(command).await, 0);
    let parsed = serde_json::from_str(&printed).unwrap();
    (printed, parsed)
}

#[tokio::test]
async fn capabilities_are_those_of_the_settings_packed_and_indented_by_two() {
    let linked = Linked::new();
    let (text, reading) = json(linked.command(&["capabilities"])).await;
    assert!(text.starts_with("{\n  \"@type\""), "{text}");
    assert_eq!(
        reading["@type"],
        "type.googleapis.com/c1.connector.v2.ConnectorCapabilities"
    );
    let has = |document: &Value, capability: &str| {
        document["connectorCapabilities"]
            .as_array()
            .unwrap()
            .iter()
            .any(|one| one == capability)
    };
    assert!(
        has(&reading, "CAPABILITY_SYNC") && !has(&reading, "CAPABILITY_PROVISION"),
        "{text}"
    );
    for arguments in [&["-p", "capabilities"], &["capabilities", "--provisioning"]] {
        let (text, writing) = json(linked.command(arguments)).await;
        assert!(has(&writing, "CAPABILITY_PROVISION"), "{text}");
    }
}

#[tokio::test]
async fn the_schema_names_what_is_required_and_what_is_secret() {
    let linked = Linked::new();
    let (_, schema) = json(linked.command(&["config"])).await;
    let field = |name: &str| {
        let fields = schema["fields"].as_array().unwrap();
        fields
            .iter()
            .find(|field| field["name"] == name)
            .unwrap_or_else(|| panic!("no {name}"))
            .clone()
    };
    assert_eq!(field("organization")["isRequired"], true);
    assert_eq!(field("api-token")["isSecret"], true);
    assert_eq!(field("client-secret")["isSecret"], true);
    assert_eq!(field("file")["stringField"]["defaultValue"], "sync.c1z");
    assert_eq!(field("task-concurrency")["intField"]["defaultValue"], "3");
    assert!(field("provisioning")["boolField"].is_object());
    assert!(field("sync-resource-types")["stringSliceField"].is_object());
}

#[rstest]
#[case("bash", &["bash", "-n"])]
#[case("zsh", &[])]
#[case("fish", &[])]
#[tokio::test]
async fn completion_scripts_are_for_this_name(#[case] shell: &str, #[case] check: &[&str]) {
    let linked = Linked::new();
    let script = printed(ended(linked.command(&["completion", shell])).await, 0);
    assert!(
        script.contains("baton-buildkite") && script.contains("grant-entitlement"),
        "{script}"
    );
    if let [program, flags @ ..] = check {
        linked.write("script", &script);
        let mut command = Command::new(program);
        let status = command
            .args(flags)
            .arg(linked.path("script"))
            .stdout(Stdio::null())
            .status();
        assert!(status.unwrap().success());
    }
}

#[rstest]
#[case::well(&[], "/health", "200 OK", 0)]
#[case::unwell(&["--endpoint", "ready"], "/ready", "503 Service Unavailable", 14)]
#[case::live(&["--endpoint", "live", "--timeout", "30s"], "/live", "200 OK", 0)]
#[tokio::test]
async fn a_health_check_ends_by_what_is_answered(
    #[case] flags: &[&str],
    #[case] path: &str,
    #[case] status: &str,
    #[case] code: i32,
) {
    let linked = Linked::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = vec![0; 1024];
        let read = stream.read(&mut asked).await.unwrap();
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8_lossy(&asked[..read]).into_owned()
    });
    let mut command = linked.command(&[&["health-check"], flags].concat());
    command.env("BATON_HEALTH_CHECK_PORT", port);
    printed(ended(command).await, code);
    assert!(served.await.unwrap().starts_with(&format!("GET {path} ")));
}

#[tokio::test]
async fn a_health_check_of_nothing_is_unavailable() {
    let linked = Linked::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    drop(listener);
    let printed = printed(
        ended(linked.command(&["health-check", "--health-check-port", &port])).await,
        14,
    );
    assert!(printed.contains("does not answer"), "{printed}");
}

#[tokio::test]
async fn help_goes_by_this_name_and_shows_no_flag_that_is_refused() {
    let linked = Linked::new();
    let mut command = linked.command(&["--help"]);
    command.env("BUILDKITE_API_TOKEN", "bkua_0123456789abcdef");
    let help = printed(ended(command).await, 0);
    assert!(
        help.contains("Usage: baton-buildkite") && help.contains("-p, --provisioning"),
        "{help}"
    );
    for absent in ["--event-feed", "--rotate-credentials", "0123456789abcdef"] {
        assert!(!help.contains(absent), "{absent}: {help}");
    }
}
