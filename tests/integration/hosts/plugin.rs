//! The binary as a go-plugin host starts it.

use std::path::PathBuf;
use std::process::Command;

use buildkite_connector::proto::plugin::Empty;
use buildkite_connector::proto::plugin::grpc_broker_client::GrpcBrokerClient;
use buildkite_connector::proto::plugin::grpc_controller_client::GrpcControllerClient;
use buildkite_connector::proto::plugin::grpc_stdio_client::GrpcStdioClient;
use rstest::rstest;
use tonic::transport::Endpoint;

use crate::support::plugin_host::{Certificate, dial, handshake, plugin, serving};
use crate::support::process::{ConnectorProcess, connector};
use crate::support::{Platform, first_team, sandbox, sized};

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_host_is_served_over_a_socket_that_only_its_user_can_reach_and_ends_it() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = sandbox(sized(1, 1, 3)).await;
    let mut running = ConnectorProcess::start(plugin(&sandbox));
    let line = handshake(&mut running);
    assert_eq!((&*line[2], &*line[4], &*line[5]), ("unix", "grpc", ""));
    let folder = PathBuf::from(&line[3]).parent().unwrap().to_owned();
    let mode = std::fs::metadata(&folder).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let channel = dial(&line, None).await.unwrap();
    assert!(serving(&channel).await.unwrap());
    let mut output = GrpcStdioClient::new(channel.clone())
        .stream_stdio(())
        .await
        .unwrap()
        .into_inner();
    let person = sandbox.owner().to_string();
    Platform::new(channel.clone())
        .grant(&first_team(&sandbox).to_string(), "member", &person)
        .await
        .unwrap();
    GrpcControllerClient::new(channel.clone())
        .shutdown(Empty {})
        .await
        .unwrap();
    while let Ok(Some(_)) = output.message().await {}
    drop(channel);
    let ended = running.ended();
    assert_eq!(ended.status.code(), Some(0), "{:#?}", ended.printed);
    assert!(!folder.exists());
    let hclog = |line: &&String| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        ["@level", "@message", "@timestamp", "@module"]
            .iter()
            .all(|key| line.get(key).is_some())
    };
    let logged: Vec<_> = ended.printed.iter().filter(|line| !line.starts_with("1|1|")).collect();
    assert!(!logged.is_empty() && logged.iter().all(hclog), "{logged:#?}");
    assert!(
        logged.iter().any(|line| line.contains("\"plugin\"")),
        "no caller: {logged:#?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn with_auto_mtls_only_the_hosts_own_certificate_gets_in() {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let host = Certificate::new();
    let mut command = plugin(&sandbox);
    command.env("PLUGIN_CLIENT_CERT", &host.pem);
    let mut running = ConnectorProcess::start(command);
    let line = handshake(&mut running);
    assert!(serving(&dial(&line, Some(&host)).await.unwrap()).await.unwrap());
    let stranger = Certificate::new();
    for shown in [Some(&stranger), None] {
        let refused = match dial(&line, shown).await {
            Ok(channel) => serving(&channel).await.is_err(),
            Err(_) => true,
        };
        assert!(refused);
    }
    assert_eq!(running.terminate().status.code(), Some(0));
}

#[rstest]
#[case::too_long("x".repeat(120), true)]
#[case::not_there("missing".to_owned(), false)]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn where_no_socket_can_be_made_tcp_is_spoken_with_auto_mtls_alone(#[case] name: String, #[case] exists: bool) {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().join(name);
    if exists {
        std::fs::create_dir(&folder).unwrap();
    }
    let host = Certificate::new();
    let mut command = plugin(&sandbox);
    command
        .env("PLUGIN_UNIX_SOCKET_DIR", &folder)
        .env("PLUGIN_CLIENT_CERT", &host.pem);
    let mut running = ConnectorProcess::start(command);
    let line = handshake(&mut running);
    assert!(line[2] == "tcp" && line[3].starts_with("127.0.0.1:"), "{line:?}");
    assert!(serving(&dial(&line, Some(&host)).await.unwrap()).await.unwrap());
    assert_eq!(running.terminate().status.code(), Some(0));

    let mut command = plugin(&sandbox);
    command.env("PLUGIN_UNIX_SOCKET_DIR", &folder);
    let ended = ConnectorProcess::start(command).ended();
    assert_eq!(ended.status.code(), Some(2));
    assert_eq!(ended.printed.len(), 1, "{:#?}", ended.printed);
    assert!(
        ended.printed[0].contains("PLUGIN_UNIX_SOCKET_DIR"),
        "{:#?}",
        ended.printed
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_server_that_no_host_started_serves_none_of_its_methods() {
    let mut server = ConnectorProcess::start(connector(&["serve", "--sandbox", "--listen", "127.0.0.1:0"]));
    let endpoint = Endpoint::try_from(format!("http://{}", server.address())).unwrap();
    let channel = endpoint.connect().await.unwrap();
    let refused = [
        GrpcControllerClient::new(channel.clone())
            .shutdown(Empty {})
            .await
            .map(drop),
        GrpcStdioClient::new(channel.clone()).stream_stdio(()).await.map(drop),
        GrpcBrokerClient::new(channel.clone())
            .start_stream(tokio_stream::empty())
            .await
            .map(drop),
    ];
    for refused in refused {
        assert_eq!(refused.unwrap_err().code(), tonic::Code::Unimplemented);
    }
    drop(channel);
    assert_eq!(server.terminate().status.code(), Some(0));
}

#[test]
fn without_a_host_it_says_in_one_sentence_that_a_host_starts_it() {
    let ended = ConnectorProcess::start(connector(&["plugin"])).ended();
    assert_eq!(ended.status.code(), Some(2));
    assert_eq!(ended.printed.len(), 1, "{:#?}", ended.printed);
    assert!(ended.printed[0].contains("CONNECTOR_PLUGIN=c1.connector.v2"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_plugin_whose_host_dies_ends_by_itself() {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let template = plugin(&sandbox);
    // A shell is the host; it dies at a signal of its own and leaves the plugin, which holds the pipes, behind.
    let mut command = Command::new("sh");
    command.arg("-c").arg("\"$0\" plugin & echo host; read _ < \"$1\"");
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    command.arg(template.get_program()).arg(&pipe).env_clear();
    command.env("PATH", "/usr/bin:/bin");
    for (name, value) in template.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    let mut host = ConnectorProcess::start(command);
    handshake(&mut host);
    host.signal("KILL");
    // The pipes are closed once the plugin is gone too.
    let ended = host.ended();
    assert!(
        ended.printed.iter().any(|line| line.contains("the host is gone")),
        "{:#?}",
        ended.printed
    );
}
