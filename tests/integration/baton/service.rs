//! Service mode by the family's flags: a process, and the platform's stand-in over TLS.

use std::process::Command;

use buildkite_connector::proto::c1::connectorapi::baton::v1::baton_service_finish_task_request::FinalState;
use buildkite_connector::proto::c1::connectorapi::baton::v1::task::{GrantTask, SyncFullTask, TaskType};
use buildkite_connector::sandbox::Sandbox;
use buildkite_connector::sandbox::platform::{Fault, FaultKind, Finished, Method, Platform, PlatformOptions};
use rstest::rstest;
use tempfile::TempDir;
use tonic::Code;

use super::linked::{Linked, printed};
use crate::export::job::ended;
use crate::support::process::ConnectorProcess;
use crate::support::{entitlement, first_team, resource, sandbox, sized};

struct Environment {
    sandbox: Sandbox,
    platform: Platform,
    linked: Linked,
    _files: TempDir,
}

impl Environment {
    async fn new() -> Self {
        let files = tempfile::tempdir().unwrap();
        let options = PlatformOptions {
            next_poll: std::time::Duration::from_millis(5),
            ..PlatformOptions::default()
        };
        Self {
            sandbox: sandbox(sized(2, 2, 5)).await,
            platform: Platform::start(options, files.path()).await.unwrap(),
            linked: Linked::new(),
            _files: files,
        }
    }

    fn secret(&self) -> String {
        std::fs::read_to_string(self.platform.client_secret_file()).unwrap()
    }

    /// The command with the family's flags for service mode.
    fn command(&self, flags: &[&str]) -> Command {
        let mut command = self.linked.on(&self.sandbox, flags);
        command
            .args([
                "--client-id",
                self.platform.client_id(),
                "--client-secret",
                self.secret().trim(),
            ])
            .env("BUILDKITE_CONNECTOR_PLATFORM_CA", self.platform.ca_file());
        command
    }

    fn grant(&self) -> TaskType {
        let team = first_team(&self.sandbox);
        let person = self.sandbox.with_organization(|organization| {
            let team = organization.team(team).unwrap();
            let mut people = organization.people().iter();
            people.find(|person| team.role_of(person.id).is_none()).unwrap().id
        });
        TaskType::Grant(GrantTask {
            entitlement: Some(entitlement(&team.to_string(), "member")),
            principal: Some(resource("user", &person.to_string())),
            ..Default::default()
        })
    }
}

fn is_success(finished: &Finished) -> bool {
    matches!(&finished.report.final_state, Some(FinalState::Success(_)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_id_starts_service_mode_which_works_tasks_off_until_a_signal() {
    let environment = Environment::new().await;
    let sync = environment.platform.add(TaskType::SyncFull(SyncFullTask::default()));
    let grant = environment.platform.add(environment.grant());
    let running = ConnectorProcess::start(environment.command(&["-p"]));
    for id in [&sync, &grant] {
        let finished = environment.platform.finished(id).await;
        assert!(is_success(&finished), "{finished:#?}");
    }
    let upload = environment.platform.look(|ledger| ledger.uploads[0].clone());
    assert!(upload.task_id == sync && upload.bytes.starts_with(b"C1ZF\0"));
    let ended = tokio::task::spawn_blocking(|| running.terminate()).await.unwrap();
    assert_eq!(ended.status.code(), Some(0), "{:#?}", ended.printed);
    let printed = ended.printed.join("\n");
    assert!(printed.contains("--client-secret shows a secret"), "{printed}");
    assert!(!printed.contains(environment.secret().trim()), "the secret was printed");
    assert!(!environment.linked.path("sync.c1z").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_p_a_grant_of_the_platform_is_refused() {
    let environment = Environment::new().await;
    let grant = environment.platform.add(environment.grant());
    let _running = ConnectorProcess::start(environment.command(&[]));
    let finished = environment.platform.finished(&grant).await;
    let status = finished.report.status.unwrap();
    assert_eq!(Code::from(status.code), Code::FailedPrecondition, "{}", status.message);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_secret_may_stand_in_a_file_and_everything_in_the_configuration_file() {
    let environment = Environment::new().await;
    let sync = environment.platform.add(TaskType::SyncFull(SyncFullTask::default()));
    let settings = format!(
        "client-id: {}\nclient-secret-file: {}\nplatform-ca: {}\n",
        environment.platform.client_id(),
        environment.platform.client_secret_file().display(),
        environment.platform.ca_file().display()
    );
    environment.linked.write(".baton.yaml", settings);
    let _running = ConnectorProcess::start(environment.linked.on(&environment.sandbox, &[]));
    let finished = environment.platform.finished(&sync).await;
    assert!(is_success(&finished), "{finished:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_check_asks_the_address_where_service_mode_answers() {
    let environment = Environment::new().await;
    // A port that was free a moment ago; the family has no port 0.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port().to_string();
    drop(free);
    let mut running = ConnectorProcess::start(environment.command(&["--health-check", "--health-check-port", &port]));
    let running = tokio::task::spawn_blocking(move || {
        running.event("the platform knows this connector");
        running
    })
    .await
    .unwrap();
    let asked = ["health-check", "--endpoint", "live", "--health-check-port", &port];
    printed(ended(environment.linked.command(&asked)).await, 0);
    drop(running);
    printed(ended(environment.linked.command(&asked)).await, 14);
}

#[rstest]
#[case::refused(FaultKind::Refuse(Code::PermissionDenied), 7)]
#[case::unknown(FaultKind::Refuse(Code::NotFound), 5)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hello_that_is_refused_for_good_ends_it_with_the_code_of_the_refusal(
    #[case] kind: FaultKind,
    #[case] code: i32,
) {
    let environment = Environment::new().await;
    environment.platform.fail(Fault::new(Method::Hello, kind));
    let printed = printed(ended(environment.command(&[])).await, code);
    assert!(printed.contains("the platform refuses this connector"), "{printed}");
    assert!(!printed.contains(environment.secret().trim()), "the secret was printed");
}

#[rstest]
#[case::id("ab/c", "a:b:v1:hush", "--client-id (BATON_CLIENT_ID): ")]
#[case::version("a@b/c", "a:b:v2:hush", "--client-secret (BATON_CLIENT_SECRET): ")]
#[case::key("a@b/c", "a:b:v1:hush", "--client-secret (BATON_CLIENT_SECRET): ")]
#[tokio::test]
async fn an_identity_of_another_form_is_refused_in_one_sentence_without_its_secret(
    #[case] id: &str,
    #[case] secret: &str,
    #[case] said: &str,
) {
    let linked = Linked::new();
    let flags = [
        "--sandbox",
        "--client-id",
        id,
        "--client-secret",
        secret,
        "--log-level",
        "error",
    ];
    let printed = printed(ended(linked.command(&flags)).await, 2);
    assert!(printed.starts_with(&format!("error: {said}")), "{printed}");
    assert!(!printed.contains("hush") && !printed.contains('\n'), "{printed}");
}
