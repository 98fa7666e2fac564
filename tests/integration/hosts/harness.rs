//! A sandbox, a platform beside it, and a connector that works for the platform.

use std::sync::Arc;
use std::time::Duration;

use buildkite_connector::hosts::LocalConnector;
use buildkite_connector::hosts::service::{Service, ServiceError, ServiceHealth, ServiceOptions, Timing};
use buildkite_connector::proto::c1::connectorapi::baton::v1::baton_service_finish_task_request::FinalState;
use buildkite_connector::proto::c1::connectorapi::baton::v1::task::{GrantTask, RevokeTask, SyncFullTask, TaskType};
use buildkite_connector::providers::buildkite::{Client, govern};
use buildkite_connector::sandbox::Sandbox;
use buildkite_connector::sandbox::platform::{Finished, Ledger, Platform, PlatformOptions};
use secrecy::ExposeSecret;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::Code;
use tonic_types::pb;

use super::runner::RecordingRunner;
use crate::support::{BOUND, Setup, entitlement, first_team, resource, sandbox, sized};

/// A sandbox, a platform, and a service that runs until this is dropped.
pub struct Harness {
    pub sandbox: Sandbox,
    pub platform: Platform,
    pub runner: Arc<RecordingRunner>,
    pub health: ServiceHealth,
    pub files: TempDir,
    end: Option<oneshot::Sender<()>>,
    running: JoinHandle<Result<(), ServiceError>>,
}

/// The protocol's waits, shortened so that a test does not sit through them.
pub fn short_timing() -> Timing {
    let moment = Duration::from_millis(5);
    Timing {
        retry: moment,
        longest_retry: Duration::from_millis(50),
        poll_retry: moment,
        longest_poll_retry: Duration::from_millis(50),
        duplicate: moment,
        heartbeat: moment,
        shortest_heartbeat: moment,
        repeat: moment,
        ..Timing::default()
    }
}

/// A platform that tells connectors to poll often.
pub fn frequent_polls() -> PlatformOptions {
    PlatformOptions {
        next_poll: Duration::from_millis(5),
        next_heartbeat: Duration::from_millis(5),
        ..PlatformOptions::default()
    }
}

/// What a test may change.
pub struct HarnessOptions {
    pub platform: PlatformOptions,
    pub timing: Timing,
    pub drain: Duration,
    pub trusted: bool,
    pub setup: Setup,
}

impl Default for HarnessOptions {
    fn default() -> Self {
        Self {
            platform: frequent_polls(),
            timing: short_timing(),
            drain: BOUND,
            trusted: true,
            setup: Setup::default(),
        }
    }
}

impl Harness {
    pub async fn start() -> Self {
        Self::start_with(HarnessOptions::default()).await
    }

    pub async fn start_with(options: HarnessOptions) -> Self {
        let sandbox = sandbox(sized(3, 2, 8)).await;
        let files = tempfile::tempdir().unwrap();
        let platform = Platform::start(options.platform, files.path()).await.unwrap();
        let client = Client::new(
            sandbox.url().parse().unwrap(),
            sandbox.slug().parse().unwrap(),
            sandbox.token().expose_secret().parse().unwrap(),
            options.setup.client.clone(),
        );
        let access = Arc::new(govern(
            Arc::new(client.unwrap()),
            options.setup.coverage(),
            options.setup.access,
        ));
        let runner = Arc::new(RecordingRunner::of(LocalConnector::new(&access, "test")));
        let ca = std::fs::read(platform.ca_file()).unwrap();
        let client_secret = std::fs::read_to_string(platform.client_secret_file()).unwrap();
        let temporary = files.path().join("temporary");
        std::fs::create_dir(&temporary).unwrap();
        let options = ServiceOptions {
            client_id: platform.client_id().parse().unwrap(),
            client_secret: client_secret.parse().unwrap(),
            api_host: None,
            host_id: "host-1".to_owned(),
            platform_ca: options.trusted.then_some(ca),
            task_concurrency: 3,
            temporary_directory: Some(temporary),
            drain: options.drain,
            timing: options.timing,
        };
        let service = Service::new(access, Arc::clone(&runner) as _, options).unwrap();
        let health = service.health();
        let (end, ended) = oneshot::channel();
        let running = tokio::spawn(service.run(async { drop(ended.await) }));
        Self {
            sandbox,
            platform,
            runner,
            health,
            files,
            end: Some(end),
            running,
        }
    }

    /// Waits for something that the platform received.
    pub async fn until(&self, what: &str, condition: impl Fn(&Ledger) -> bool) {
        timeout(BOUND, self.platform.until(condition))
            .await
            .unwrap_or_else(|_| panic!("never: {what}, but {:#?}", self.platform.look(Ledger::clone)));
    }

    /// The end of a task.
    pub async fn finished(&self, id: &str) -> Finished {
        timeout(BOUND, self.platform.finished(id))
            .await
            .unwrap_or_else(|_| panic!("never finished, but {:#?}", self.platform.look(Ledger::clone)))
    }

    /// Begins the shutdown, as a signal does.
    pub fn shut_down(&mut self) {
        drop(self.end.take());
    }

    /// Waits until the service has ended, and returns how.
    pub async fn ended(&mut self) -> Result<(), ServiceError> {
        timeout(BOUND, &mut self.running)
            .await
            .expect("it does not end")
            .unwrap()
    }

    /// The number of files in the temporary directory.
    pub fn files_left(&self) -> usize {
        std::fs::read_dir(self.files.path().join("temporary")).unwrap().count()
    }

    pub fn outsider(&self) -> String {
        outsider(&self.sandbox)
    }

    pub fn holds(&self, user: &str) -> bool {
        let team = first_team(&self.sandbox);
        self.sandbox.with_organization(|organization| {
            organization
                .team(team)
                .unwrap()
                .role_of(user.parse().unwrap())
                .is_some()
        })
    }

    pub fn grant(&self, user: &str) -> TaskType {
        grant_of(&self.sandbox, user)
    }

    pub fn revoke(&self, user: &str) -> TaskType {
        revoke_of(&self.sandbox, user)
    }
}

impl Drop for Harness {
    fn drop(&mut self) {
        self.running.abort();
    }
}

/// A person who is not in the first team.
pub fn outsider(sandbox: &Sandbox) -> String {
    let team = first_team(sandbox);
    sandbox.with_organization(|organization| {
        let team = organization.team(team).unwrap();
        let mut people = organization.people().iter();
        people
            .find(|person| team.role_of(person.id).is_none())
            .unwrap()
            .id
            .to_string()
    })
}

/// The task that makes `user` a member of the first team.
pub fn grant_of(sandbox: &Sandbox, user: &str) -> TaskType {
    TaskType::Grant(GrantTask {
        entitlement: Some(entitlement(&first_team(sandbox).to_string(), "member")),
        principal: Some(resource("user", user)),
        ..Default::default()
    })
}

/// The task that takes that away.
pub fn revoke_of(sandbox: &Sandbox, user: &str) -> TaskType {
    let grant = buildkite_connector::proto::c1::connector::v2::Grant {
        entitlement: Some(entitlement(&first_team(sandbox).to_string(), "member")),
        principal: Some(resource("user", user)),
        ..Default::default()
    };
    TaskType::Revoke(RevokeTask {
        grant: Some(grant),
        annotations: vec![],
    })
}

pub fn sync() -> TaskType {
    TaskType::SyncFull(SyncFullTask::default())
}

/// The status of a task that failed, and whether it may be tried again.
pub fn failure(finished: &Finished) -> (Code, pb::Status, bool) {
    let Some(FinalState::Error(error)) = &finished.report.final_state else {
        panic!("it did not fail: {finished:#?}");
    };
    let status = finished.report.status.clone().unwrap();
    (Code::from(status.code), status, !error.non_retryable)
}

pub fn is_success(finished: &Finished) -> bool {
    matches!(&finished.report.final_state, Some(FinalState::Success(_))) && finished.report.status.is_none()
}
