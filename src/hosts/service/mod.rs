//! Service mode: connects out to the access platform, asks for tasks, carries them out and reports what became of them
//! (`c1.connectorapi.baton.v1`). No listener is opened but one for health, where that is wanted.
//!
//! `platform` makes the calls, `poll` asks for tasks, `task` carries one out and reports its end, `syncing` keeps a sync
//! alive and uploads its file, `forward` makes the calls of every other kind of task.

mod error;
mod forward;
mod health;
mod identity;
mod machine;
mod outcome;
mod platform;
mod poll;
mod syncing;
mod task;
mod timing;
mod token;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tonic::Code;

pub use health::ServiceHealth;
pub use identity::{ClientId, ClientSecret, IdentityError};
pub use machine::default_host_id;
pub use timing::Timing;

use super::{LocalConnector, SyncRunner};
use crate::governance::Governance;
use platform::Platform;
use task::Tasks;

/// How the platform is reached, and how its tasks are worked off.
#[derive(Debug)]
pub struct ServiceOptions {
    /// Who the connector is to the platform.
    pub client_id: ClientId,
    /// How it proves that.
    pub client_secret: ClientSecret,
    /// The host, and port if one is named, to dial in place of the client id's.
    pub api_host: Option<String>,
    /// By what the platform tells this process from others.
    pub host_id: String,
    /// The only authorities to trust for the platform, PEM; none for the system's.
    pub platform_ca: Option<Vec<u8>>,
    /// Tasks that are carried out at once.
    pub task_concurrency: usize,
    /// Where files are kept until they are uploaded; none for the system's place.
    pub temporary_directory: Option<PathBuf>,
    /// How long tasks that are under way may take at the end.
    pub drain: Duration,
    /// Waits and bounds.
    pub timing: Timing,
}

/// Why service mode ended, or could not begin.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The platform refuses this connector for good, or is not to be trusted.
    #[error("{message}")]
    Refused {
        /// The code of the refusal.
        code: Code,
        /// What the platform said, and what to do.
        message: String,
    },
    /// What is needed to reach the platform cannot be made.
    #[error("the platform cannot be reached with these settings: {0}")]
    Setup(String),
}

/// A connector in service mode.
pub struct Service {
    access: Arc<Governance>,
    tasks: Arc<Tasks>,
    drain: Duration,
    goodbye: Duration,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").finish_non_exhaustive()
    }
}

impl Service {
    /// A service that governs through `access` and syncs with `syncs`. Nothing is dialled yet.
    ///
    /// # Errors
    /// When the platform's authorities or its host cannot be used.
    pub fn new(
        access: Arc<Governance>,
        syncs: Arc<dyn SyncRunner>,
        options: ServiceOptions,
    ) -> Result<Self, ServiceError> {
        let local = LocalConnector::new(&access, format!("service:{}", options.host_id));
        let (drain, timing) = (options.drain, options.timing);
        let tasks = Tasks {
            local,
            syncs,
            temporary_directory: options.temporary_directory.clone(),
            concurrency: options.task_concurrency,
            timing,
            health: ServiceHealth::default(),
            under_way: std::sync::Mutex::default(),
            cut: CancellationToken::new(),
            platform: Platform::new(options)?,
        };
        Ok(Self {
            access,
            tasks: Arc::new(tasks),
            drain,
            goodbye: timing.goodbye,
        })
    }

    /// What is told of this service's health.
    #[must_use]
    pub fn health(&self) -> ServiceHealth {
        self.tasks.health.clone()
    }

    /// Works until `shutdown` resolves; what was begun is then finished within the drain, and what is not is reported as
    /// cancelled.
    ///
    /// # Errors
    /// When the platform refuses this connector for good.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), ServiceError> {
        let mut running = tokio::task::JoinSet::new();
        let ended = poll::until(&self.tasks, &mut running, shutdown).await;
        self.tasks.health.set_ready(false);
        tracing::info!(
            under_way = running.len(),
            "ending: no task is begun any more, what is under way is finished"
        );
        let finished = async { while running.join_next().await.is_some() {} };
        if tokio::time::timeout(self.drain, finished).await.is_err() {
            tracing::warn!(
                under_way = running.len(),
                "some tasks did not finish in time and are reported as cancelled"
            );
            self.tasks.cut.cancel();
            let reported = async { while running.join_next().await.is_some() {} };
            if tokio::time::timeout(self.goodbye, reported).await.is_err() {
                tracing::warn!("the platform could not be told of every task");
            }
        }
        running.shutdown().await;
        let provisioning = self.access.provisioning();
        provisioning.stop_accepting();
        // A write that was begun is finished, as it may be half done at Buildkite.
        if tokio::time::timeout(self.goodbye, provisioning.drain()).await.is_err() {
            tracing::warn!("a change at buildkite did not finish in time: its outcome is in no record");
        }
        ended
    }
}
