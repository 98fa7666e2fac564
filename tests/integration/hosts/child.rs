//! The binary as a Baton runner starts it: a socket that it inherits, a configuration on standard input, and mutual TLS.

use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use buildkite_connector::proto::c1::connector_wrapper::v1::ServerConfig;
use buildkite_connector::proto::c1::ratelimit::v1::DoRequest;
use buildkite_connector::proto::c1::ratelimit::v1::rate_limiter_service_client::RateLimiterServiceClient;
use buildkite_connector::proto::c1::utls::v1::Credential;
use prost::Message;
use rstest::rstest;
use tonic::Code;
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use crate::support::process::{ConnectorProcess, Ended};
use crate::support::runner::{INHERIT, Pki, Runner, key, metadata};
use crate::support::{Platform, first_team};

async fn ended(running: ConnectorProcess) -> Ended {
    tokio::task::spawn_blocking(|| running.ended()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runner_is_served_over_its_own_socket_until_standard_input_ends() {
    let runner = Runner::new().await;
    let command = runner.shell(INHERIT, &["-p", "_connector-service"]);
    let (running, input) = runner.start(command, &runner.line()).await;
    let channel = runner.dial(runner.pki.client()).await.unwrap();
    metadata(&channel).await.unwrap();
    let request = DoRequest {
        request_token: "1".to_owned(),
        ..DoRequest::default()
    };
    let gate = RateLimiterServiceClient::new(channel.clone())
        .r#do(request)
        .await
        .unwrap();
    assert_eq!(gate.into_inner().request_token, "1");
    let person = runner.sandbox.owner().to_string();
    Platform::new(channel.clone())
        .grant(&first_team(&runner.sandbox).to_string(), "member", &person)
        .await
        .unwrap();
    drop((channel, input));
    let ended = ended(running).await;
    assert_eq!(ended.status.code(), Some(0), "{:#?}", ended.printed);
    let record = ended.printed.iter().find(|line| line.contains("\"target\":\"audit\""));
    let record = record.unwrap_or_else(|| panic!("no record: {:#?}", ended.printed));
    assert!(record.contains("\"caller\":\"child\""), "{record}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_certificates_of_the_runners_authority_get_in() {
    let runner = Runner::new().await;
    let command = runner.shell(INHERIT, &["_connector-service"]);
    let (running, input) = runner.start(command, &runner.line()).await;
    let (pair, _) = key(5);
    let stranger = Pki::new(4).issue("c1-connector-client", &pair);
    let stranger = Identity::from_pem(stranger.pem(), pair.serialize_pem());
    for tls in [runner.pki.trusting(), runner.pki.trusting().identity(stranger)] {
        // TLS 1.3 tells a client that it is refused only after the handshake.
        let refused = match runner.dial(tls).await {
            Ok(channel) => metadata(&channel).await.is_err(),
            Err(_) => true,
        };
        assert!(refused);
    }
    let untrusting = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(&Pki::new(4).pem))
        .domain_name("127.0.0.1");
    assert!(runner.dial(untrusting).await.is_err());
    metadata(&runner.dial(runner.pki.client()).await.unwrap())
        .await
        .unwrap();
    drop(input);
    assert_eq!(ended(running).await.status.code(), Some(0));
}

#[rstest]
#[case::reads_only(&["--file=x.c1z", "--client-id=a@b/c", "--client-secret=a:b:v1:c"], false)]
#[case::family(&["--ticketing", "--workers", "-1", "--c1z-temp-dir=/tmp", "--otel-collector-endpoint", "here"], false)]
#[case::provisioning(&["--log-level=debug", "--provisioning"], true)]
#[case::one_grant(&["--grant-entitlement=e", "--grant-principal=p"], true)]
#[case::one_revoke(&["--revoke-grant", "g"], true)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_runners_own_flags_stand_before_it_and_decide_whether_it_writes(
    #[case] flags: &[&str],
    #[case] writes: bool,
) {
    let runner = Runner::new().await;
    let command = runner.shell(INHERIT, &[flags, &["_connector-service"]].concat());
    let (running, input) = runner.start(command, &runner.line()).await;
    let channel = runner.dial(runner.pki.client()).await.unwrap();
    let person = runner.sandbox.owner().to_string();
    let granted = Platform::new(channel.clone())
        .grant(&first_team(&runner.sandbox).to_string(), "member", &person)
        .await;
    let code = granted.err().map(|status| status.code());
    assert_eq!(code, (!writes).then_some(Code::FailedPrecondition));
    drop((channel, input));
    assert_eq!(ended(running).await.status.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runner_that_is_killed_takes_its_child_along() {
    let runner = Runner::new().await;
    // The child in the background, and the writing end of its standard input in the shell alone.
    let script = r#"exec 3<&0 </dev/null; "$0" _connector-service <"$PIPE" & exec 4>"$PIPE"; printf '%s' "$1" >&4; exec 3<&-; read -r never <"$HOLD""#;
    let hold = runner.files.path().join("hold");
    assert!(Command::new("mkfifo").arg(&hold).status().unwrap().success());
    let mut command = runner.shell(script, &[&runner.line()]);
    command.env("HOLD", &hold);
    let running = ConnectorProcess::with_input(command);
    let channel = runner.dial(runner.pki.client()).await.unwrap();
    metadata(&channel).await.unwrap();
    drop(channel);
    running.signal("KILL");
    // The pipes of its output are closed once the child is gone too.
    let ended = ended(running).await;
    let gone = ended.printed.iter().any(|line| line.contains("the runner is gone"));
    assert!(gone, "{:#?}", ended.printed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_ends_it_with_0_while_standard_input_is_open() {
    let runner = Runner::new().await;
    let command = runner.shell(INHERIT, &["_connector-service"]);
    let (running, _input) = runner.start(command, &runner.line()).await;
    metadata(&runner.dial(runner.pki.client()).await.unwrap())
        .await
        .unwrap();
    running.signal("TERM");
    assert_eq!(ended(running).await.status.code(), Some(0));
}

/// What is wrong with how a child is started.
#[derive(Debug, Clone, Copy)]
enum Wrong {
    NoDescriptor,
    StandardStream,
    ClosedDescriptor,
    NoSocket,
    OtherPort,
    OtherKey,
    NoInput,
    NotBase64,
    TooLong,
}

#[rstest]
#[case::no_descriptor(Wrong::NoDescriptor, "is started by a Baton runner")]
#[case::standard_stream(Wrong::StandardStream, "file descriptor 0 is a standard stream")]
#[case::closed(Wrong::ClosedDescriptor, "file descriptor 99 cannot be used")]
#[case::no_socket(Wrong::NoSocket, "file descriptor 4 is no listening socket")]
#[case::other_port(Wrong::OtherPort, "not on the port 1 of the configuration")]
#[case::other_key(Wrong::OtherKey, "has a certificate that cannot be used")]
#[case::no_input(Wrong::NoInput, "is missing")]
#[case::not_base64(Wrong::NotBase64, "is not base64")]
#[case::too_long(Wrong::TooLong, "is longer than 65536 bytes")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_runner_would_not_pass_on_is_refused_in_one_sentence(#[case] wrong: Wrong, #[case] said: &str) {
    let runner = Runner::new().await;
    let mut command = runner.shell(INHERIT, &["--log-level", "error", "_connector-service"]);
    let mut config = ServerConfig {
        credential: Some(runner.pki.credential()),
        listen_port: runner.port().into(),
        ..ServerConfig::default()
    };
    let descriptor = |command: &mut Command, value: &str| {
        command.env("BATON_CONNECTOR_SERVICE_LISTENER_FD", value);
    };
    match wrong {
        Wrong::NoDescriptor => {
            command.env_remove("BATON_CONNECTOR_SERVICE_LISTENER_FD");
        }
        Wrong::StandardStream => descriptor(&mut command, "0"),
        Wrong::ClosedDescriptor => descriptor(&mut command, "99"),
        Wrong::NoSocket => {
            command = runner.shell(
                r#"exec 4</dev/null 3<&0 <"$PIPE"; exec "$0" "$@""#,
                &["--log-level", "error", "_connector-service"],
            );
            descriptor(&mut command, "4");
        }
        Wrong::OtherPort => config.listen_port = 1,
        Wrong::OtherKey => {
            let (_, raw) = key(9);
            config.credential = config
                .credential
                .map(|credential| Credential { key: raw, ..credential });
        }
        Wrong::NoInput | Wrong::NotBase64 | Wrong::TooLong => {}
    }
    let input = match wrong {
        Wrong::NoInput => String::new(),
        Wrong::NotBase64 => "hush!\n".to_owned(),
        Wrong::TooLong => "A".repeat(70_000),
        _ => STANDARD.encode(config.encode_to_vec()) + "\n",
    };
    let (running, file) = runner.start(command, &input).await;
    if matches!(wrong, Wrong::NoInput) {
        drop(file);
    }
    let ended = ended(running).await;
    assert_eq!(ended.status.code(), Some(2), "{:#?}", ended.printed);
    let [sentence] = &*ended.printed else {
        panic!("not one sentence: {:#?}", ended.printed)
    };
    assert!(sentence.starts_with("error: ") && sentence.contains(said), "{sentence}");
    assert!(
        !sentence.contains("hush") && !sentence.contains(input.trim_end()) || input.is_empty(),
        "{sentence}"
    );
}
