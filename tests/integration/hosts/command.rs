//! `service` as an operator runs it: a process, the platform's stand-in over TLS, and Buildkite's.

use std::io::Write as _;
use std::process::Command;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use buildkite_connector::proto::c1::connectorapi::baton::v1::task::{SyncFullTask, TaskType};
use buildkite_connector::sandbox::platform::{Fault, FaultKind, Ledger, Method, Platform, PlatformOptions};
use buildkite_connector::sandbox::{
    Bucket, Endpoint, Fault as BuildkiteFault, FaultKind as BuildkiteFaultKind, LimitOptions, Options, Sandbox,
};
use rstest::rstest;
use secrecy::ExposeSecret;
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::timeout;
use tonic::Code;
use uuid::Uuid;

use super::harness::{failure, frequent_polls, grant_of, is_success, outsider, revoke_of, sync};
use crate::support::process::{ConnectorProcess, Ended, connector};
use crate::support::{BOUND, first_team, resource, sandbox, sized, until};

struct Environment {
    sandbox: Sandbox,
    platform: Platform,
    files: TempDir,
}

impl Environment {
    async fn new() -> Self {
        Self::with(frequent_polls()).await
    }

    async fn with(options: PlatformOptions) -> Self {
        let files = tempfile::tempdir().unwrap();
        Self {
            sandbox: sandbox(sized(3, 2, 8)).await,
            platform: Platform::start(options, files.path()).await.unwrap(),
            files,
        }
    }

    /// The command with everything that it needs; its files go to a directory of their own.
    fn service(&self, arguments: &[&str]) -> Command {
        let temporary = self.files.path().join("temporary");
        std::fs::create_dir_all(&temporary).unwrap();
        let mut command = connector(&["service", "--provisioning"]);
        command
            .args(arguments)
            .env("TMPDIR", temporary)
            .env("BUILDKITE_REST_URL", self.sandbox.url())
            .env("BUILDKITE_ORGANIZATION_SLUG", self.sandbox.slug())
            .env("BUILDKITE_API_TOKEN", self.sandbox.token().expose_secret())
            .env("BATON_CLIENT_ID", self.platform.client_id())
            .env("BATON_CLIENT_SECRET_FILE", self.platform.client_secret_file())
            .env("BATON_HOST_ID", "host-1")
            .env("BUILDKITE_CONNECTOR_PLATFORM_CA", self.platform.ca_file());
        command
    }

    async fn finished(&self, id: &str) -> buildkite_connector::sandbox::platform::Finished {
        timeout(BOUND, self.platform.finished(id))
            .await
            .unwrap_or_else(|_| panic!("never finished, but {:#?}", self.platform.look(Ledger::clone)))
    }

    fn files_left(&self) -> usize {
        std::fs::read_dir(self.files.path().join("temporary")).unwrap().count()
    }

    fn holds(&self, user: &str) -> bool {
        let (team, user): (_, Uuid) = (first_team(&self.sandbox), user.parse().unwrap());
        let role =
            |organization: &buildkite_connector::sandbox::Organization| organization.team(team).unwrap().role_of(user);
        self.sandbox.with_organization(role).is_some()
    }
}

/// Waits on a thread of its own, so that the platform goes on.
async fn ended(running: ConnectorProcess) -> Ended {
    tokio::task::spawn_blocking(|| running.ended()).await.unwrap()
}

/// How many rows each table of an uploaded file has, and the type of its run.
fn rows(c1z: &[u8]) -> (String, [i64; 4]) {
    let compressed = c1z.strip_prefix(b"C1ZF\0").expect("no c1z of version 1");
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&zstd::decode_all(compressed).unwrap()).unwrap();
    let database = rusqlite::Connection::open(file.path()).unwrap();
    let kind = "select sync_type from v1_sync_runs where ended_at is not null";
    let kind = database.query_row(kind, [], |row| row.get(0)).unwrap();
    let count = |table: &str| {
        let count = format!("select count(*) from v1_{table}");
        database.query_row(&count, [], |row| row.get(0)).unwrap()
    };
    (
        kind,
        ["resource_types", "resources", "entitlements", "grants"].map(count),
    )
}

#[rstest]
#[case::everything(SyncFullTask::default(), "full", [2, 11, 6, 6])]
#[case::without_grants(SyncFullTask { skip_grants: true, ..Default::default() }, "full", [2, 11, 6, 0])]
#[case::resources(SyncFullTask { skip_entitlements_and_grants: true, ..Default::default() }, "resources_only", [2, 11, 0, 0])]
#[case::teams(SyncFullTask { sync_resource_type_ids: vec!["team".into()], ..Default::default() }, "full", [1, 3, 6, 0])]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_task_is_uploaded_as_a_c1z_that_holds_what_was_wanted(
    #[case] task: SyncFullTask,
    #[case] run: &str,
    #[case] expected: [i64; 4],
) {
    let environment = Environment::new().await;
    let id = environment.platform.add(TaskType::SyncFull(task));
    let running = ConnectorProcess::start(environment.service(&[]));
    let finished = environment.finished(&id).await;
    assert!(is_success(&finished), "{finished:#?}");
    let upload = environment.platform.look(|ledger| ledger.uploads[0].clone());
    assert_eq!(upload.task_id, id);
    assert_eq!(rows(&upload.bytes), (run.to_owned(), expected));
    running.signal("TERM");
    assert_eq!(ended(running).await.status.code(), Some(0));
    assert_eq!(environment.files_left(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_targeted_sync_holds_its_resource_and_what_hangs_on_it() {
    let environment = Environment::new().await;
    let team = first_team(&environment.sandbox).to_string();
    let id = environment.platform.add(TaskType::SyncFull(SyncFullTask {
        targeted_sync_resources: vec![resource("team", &team)],
        ..Default::default()
    }));
    let _running = ConnectorProcess::start(environment.service(&[]));
    let finished = environment.finished(&id).await;
    assert!(is_success(&finished), "{finished:#?}");
    let upload = environment.platform.look(|ledger| ledger.uploads[0].clone());
    assert_eq!(rows(&upload.bytes), ("partial".to_owned(), [2, 1, 2, 2]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trouble_at_buildkite_ends_a_sync_with_code_and_details_and_nothing_is_uploaded() {
    let environment = Environment::new().await;
    let reset = BuildkiteFault::new(Endpoint::TeamMembers, BuildkiteFaultKind::ResetBefore);
    environment.sandbox.faults().add(reset);
    let id = environment.platform.add(sync());
    let _running = ConnectorProcess::start(environment.service(&["--retry-for", "1ms"]));
    let finished = environment.finished(&id).await;
    let (code, status, again) = failure(&finished);
    assert_eq!((code, again), (Code::Unavailable, true), "{finished:#?}");
    assert!(!status.details.is_empty(), "{finished:#?}");
    assert!(environment.platform.look(|ledger| ledger.uploads.is_empty()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_waits_for_the_rate_limit_while_its_heartbeats_succeed() {
    let mut environment = Environment::new().await;
    let limits = LimitOptions {
        user: Some(40),
        window: Duration::from_secs(4),
        organization_offset: Some(Duration::ZERO),
        user_offset: Some(Duration::ZERO),
        ..LimitOptions::default()
    };
    let limited = Options {
        seed: sized(80, 3, 20),
        limits,
        ..Options::default()
    };
    environment.sandbox = Sandbox::start(limited).await.unwrap();
    let id = environment.platform.add(sync());
    let _running = ConnectorProcess::start(environment.service(&[]));
    let finished = environment.finished(&id).await;
    assert!(is_success(&finished), "{finished:#?}");
    assert!(
        environment.sandbox.request_log().total() > 80,
        "the windows were too wide for this test"
    );
    assert_eq!(
        environment.sandbox.refused(Bucket::User) + environment.sandbox.refused(Bucket::Organization),
        0
    );
    let (heartbeats, uploads) = environment
        .platform
        .look(|ledger| (ledger.count(Method::Heartbeat), ledger.uploads.len()));
    assert!(
        heartbeats > 1 && uploads == 1,
        "{heartbeats} heartbeats, {uploads} uploads"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_and_its_revoke_are_carried_out_and_recorded_with_host_and_task() {
    let environment = Environment::new().await;
    let person = outsider(&environment.sandbox);
    let audit = environment.files.path().join("audit.jsonl");
    let running = ConnectorProcess::start(environment.service(&["--audit-file", audit.to_str().unwrap()]));
    let granted = environment.platform.add(grant_of(&environment.sandbox, &person));
    assert!(is_success(&environment.finished(&granted).await));
    assert!(environment.holds(&person));
    let revoked = environment.platform.add(revoke_of(&environment.sandbox, &person));
    assert!(is_success(&environment.finished(&revoked).await));
    assert!(!environment.holds(&person));
    running.signal("TERM");
    assert_eq!(ended(running).await.status.code(), Some(0));
    let records = std::fs::read_to_string(audit).unwrap();
    for id in [granted, revoked] {
        let of_task = |record: &Value| record.to_string().contains(&id);
        let mut records = records.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let record = records.find(of_task).expect("no record");
        assert!(record.to_string().contains("service:host-1"), "{record}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_sigterm_a_sync_that_does_not_finish_is_reported_as_cancelled() {
    let environment = Environment::new().await;
    let hang = BuildkiteFault::new(Endpoint::TeamMembers, BuildkiteFaultKind::Hang);
    let hangs = environment.sandbox.faults().add(hang);
    let id = environment.platform.add(sync());
    let running = ConnectorProcess::start(environment.service(&["--drain", "20ms"]));
    until(|| hangs.fired() > 0).await;
    running.signal("TERM");
    let ended = ended(running).await;
    assert_eq!(ended.status.code(), Some(0), "{:#?}", ended.printed);
    let (code, _, again) = failure(&environment.finished(&id).await);
    assert_eq!((code, again), (Code::Cancelled, true));
    assert!(environment.platform.look(|ledger| ledger.uploads.is_empty()));
    assert_eq!(environment.files_left(), 0);
}

#[rstest]
#[case::grant(true)]
#[case::revoke(false)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_sigterm_a_change_that_was_begun_is_finished(#[case] grants: bool) {
    let environment = Environment::new().await;
    let person = outsider(&environment.sandbox);
    let delay = BuildkiteFaultKind::Delay(Duration::from_millis(300));
    let (endpoint, task) = if grants {
        (Endpoint::AddTeamMember, grant_of(&environment.sandbox, &person))
    } else {
        let person: Uuid = person.parse().unwrap();
        let team = first_team(&environment.sandbox);
        let role = buildkite_connector::sandbox::TeamRole::Member;
        assert!(
            environment
                .sandbox
                .edit(|organization| organization.set_membership(team, person, role))
        );
        (
            Endpoint::RemoveTeamMember,
            revoke_of(&environment.sandbox, &person.to_string()),
        )
    };
    let delays = environment.sandbox.faults().add(BuildkiteFault::new(endpoint, delay));
    let id = environment.platform.add(task);
    let running = ConnectorProcess::start(environment.service(&[]));
    until(|| delays.fired() > 0).await;
    running.signal("TERM");
    let ended = ended(running).await;
    assert_eq!(ended.status.code(), Some(0), "{:#?}", ended.printed);
    assert!(is_success(&environment.finished(&id).await));
    assert_eq!(environment.holds(&person), grants);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_it_at_once() {
    let environment = Environment::new().await;
    let hang = BuildkiteFault::new(Endpoint::TeamMembers, BuildkiteFaultKind::Hang);
    let hangs = environment.sandbox.faults().add(hang);
    let _ = environment.platform.add(sync());
    let mut running = ConnectorProcess::start(environment.service(&["--drain", "1h"]));
    until(|| hangs.fired() > 0).await;
    running.signal("TERM");
    let running = tokio::task::spawn_blocking(move || {
        running.event("ending");
        running
    })
    .await
    .unwrap();
    running.signal("TERM");
    assert_eq!(ended(running).await.status.code(), Some(130));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_in_its_output_whatever_is_logged() {
    let environment = Environment::new().await;
    environment
        .platform
        .fail(Fault::new(Method::Heartbeat, FaultKind::Refuse(Code::Internal)).times(1));
    let person = outsider(&environment.sandbox);
    let tasks = [sync(), grant_of(&environment.sandbox, &person)].map(|task| environment.platform.add(task));
    let running = ConnectorProcess::start(environment.service(&["--log", "trace"]));
    for id in &tasks {
        assert!(is_success(&environment.finished(id).await));
    }
    running.signal("TERM");
    let printed = ended(running).await.printed.join("\n");
    assert!(printed.contains("working for the platform"));
    let secret = std::fs::read_to_string(environment.platform.client_secret_file()).unwrap();
    let key = secret.trim().rsplit(':').next().unwrap();
    let jwk: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(key).unwrap()).unwrap();
    let mut secrets = vec![key.to_owned(), jwk["d"].as_str().unwrap().to_owned()];
    secrets.push(environment.sandbox.token().expose_secret().to_owned());
    secrets.extend(
        environment
            .platform
            .tokens()
            .into_iter()
            .map(|token| token.expose_secret().to_owned()),
    );
    assert!(secrets.len() > 3, "the platform gave a token out");
    for secret in secrets {
        assert!(!printed.contains(&secret), "a secret was printed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn monitors_read_health_readiness_and_liveness() {
    let environment = Environment::new().await;
    let mut running = ConnectorProcess::start(environment.service(&["--health-listen", "127.0.0.1:0"]));
    let (running, address) = tokio::task::spawn_blocking(move || {
        let started = running.event("working for the platform");
        let address = started["health"].as_str().unwrap().to_owned();
        running.event("the platform knows this connector");
        (running, address)
    })
    .await
    .unwrap();
    let page = async |path: &str| {
        let answer = reqwest::get(format!("http://{address}{path}")).await.unwrap();
        let status = answer.status().as_u16();
        let body: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        (status, body["status"].as_str().unwrap().to_owned())
    };
    assert_eq!(page("/health").await, (200, "healthy".to_owned()));
    assert_eq!(page("/live").await, (200, "alive".to_owned()));
    // The hello's answer is logged a moment before it counts.
    let mut ready = page("/ready").await;
    while ready.0 != 200 {
        ready = page("/ready").await;
    }
    assert_eq!(ready.1, "ready");
    drop(running);
}

#[rstest]
#[case::id("BATON_CLIENT_ID", "northwind", "--client-id (BATON_CLIENT_ID): ")]
#[case::no_id("BATON_CLIENT_ID", "", "--client-id (BATON_CLIENT_ID): ")]
#[case::secret(
    "BATON_CLIENT_SECRET",
    "a:b:v2:c",
    "--client-secret-file (BATON_CLIENT_SECRET_FILE): set either"
)]
#[case::no_secret("BATON_CLIENT_SECRET_FILE", "", "BATON_CLIENT_SECRET: ")]
#[case::secret_file(
    "BATON_CLIENT_SECRET_FILE",
    "/nowhere",
    "--client-secret-file (BATON_CLIENT_SECRET_FILE): "
)]
#[case::ca(
    "BUILDKITE_CONNECTOR_PLATFORM_CA",
    "/nowhere",
    "--platform-ca (BUILDKITE_CONNECTOR_PLATFORM_CA): "
)]
#[case::tasks("BATON_TASK_CONCURRENCY", "0", "--task-concurrency (BATON_TASK_CONCURRENCY): ")]
#[case::drain("BUILDKITE_CONNECTOR_DRAIN", "soon", "--drain (BUILDKITE_CONNECTOR_DRAIN): ")]
#[case::health(
    "BUILDKITE_CONNECTOR_HEALTH_LISTEN",
    "here",
    "--health-listen (BUILDKITE_CONNECTOR_HEALTH_LISTEN): "
)]
#[case::host("BATON_HOST_ID", &*"x".repeat(257), "BATON_HOST_ID: ")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_setting_that_is_wrong_is_refused_by_its_name(#[case] name: &str, #[case] value: &str, #[case] said: &str) {
    let environment = Environment::new().await;
    let mut command = environment.service(&[]);
    if value.is_empty() {
        command.env_remove(name);
    } else {
        command.env(name, value);
    }
    let ended = ended(ConnectorProcess::start(command)).await;
    assert_eq!(ended.status.code(), Some(2), "{:#?}", ended.printed);
    assert!(
        ended.printed[0].starts_with(&format!("error: {said}")),
        "{:#?}",
        ended.printed
    );
}

#[rstest]
#[case::refused(true, "the platform refuses this connector")]
#[case::untrusted(false, "the platform's certificate is not trusted")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hello_that_is_refused_for_good_ends_it_with_one_sentence(#[case] trusted: bool, #[case] said: &str) {
    let environment = Environment::new().await;
    environment
        .platform
        .fail(Fault::new(Method::Hello, FaultKind::Refuse(Code::PermissionDenied)));
    let mut command = environment.service(&[]);
    if !trusted {
        command.env_remove("BUILDKITE_CONNECTOR_PLATFORM_CA");
    }
    let ended = ended(ConnectorProcess::start(command)).await;
    assert_eq!(ended.status.code(), Some(1), "{:#?}", ended.printed);
    let last = ended.printed.iter().find(|line| line.starts_with("error: "));
    assert!(last.is_some_and(|line| line.contains(said)), "{:#?}", ended.printed);
}

#[test]
fn the_recipe_works_what_the_stand_in_prints_is_what_the_command_needs() {
    let mut sandbox = ConnectorProcess::start(connector(&["sandbox", "--platform"]));
    sandbox.line("buildkite-connector service");
    let mut command = connector(&["service"]);
    // The other credentials stand in place of the token.
    let is_other = |line: &str| {
        line.contains("_ACCESS_TOKEN_ID=") || line.contains("_PRIVATE_KEY_FILE=") || line.contains("_OAUTH_")
    };
    for line in sandbox.printed.iter().filter(|line| !is_other(line)) {
        if let Some((name, value)) = line
            .trim()
            .strip_prefix("export ")
            .and_then(|line| line.split_once('='))
        {
            command.env(name, value);
        }
    }
    let service = ConnectorProcess::start(command);
    let done = sandbox.line("(sync_full): ");
    assert!(done.contains("done, ") && done.ends_with(" bytes uploaded"), "{done}");
    assert_eq!(service.terminate().status.code(), Some(0));
    assert_eq!(sandbox.terminate().status.code(), Some(0));
}
