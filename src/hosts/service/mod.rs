//! Service mode: connects to the access platform, polls it for tasks, executes them and reports their results
//! (`c1.connectorapi.baton.v1`). The only listener is an optional one for health.
//!
//! `platform` makes the calls, `poll` fetches tasks, `task` executes one and reports its result, `syncing` sends heartbeats
//! during a sync and uploads its file, `forward` makes the calls of every other kind of task.

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

/// How the platform is reached, and how its tasks are executed.
#[derive(Debug)]
pub struct ServiceOptions {
    /// The id of the connector at the platform.
    pub client_id: ClientId,
    /// The key that signs its assertions.
    pub client_secret: ClientSecret,
    /// The host, and port if one is named, to dial in place of the client id's.
    pub api_host: Option<String>,
    /// The id that distinguishes this process from others of the same connector.
    pub host_id: String,
    /// The only authorities to trust for the platform, PEM; none for the system's.
    pub platform_ca: Option<Vec<u8>>,
    /// Maximum number of concurrent tasks.
    pub task_concurrency: usize,
    /// The directory for files until they are uploaded; none for the system's.
    pub temporary_directory: Option<PathBuf>,
    /// How long running tasks may take to finish at shutdown.
    pub drain: Duration,
    /// Waits and bounds.
    pub timing: Timing,
}

/// Why service mode ended, or could not begin.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The platform rejects this connector permanently, or is not trusted.
    #[error("{message}")]
    Refused {
        /// The code of the refusal.
        code: Code,
        /// The message of the platform, and what to do.
        message: String,
    },
    /// The client for the platform cannot be created.
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
            running: std::sync::Mutex::default(),
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

    /// The readiness and the health pages of this service.
    #[must_use]
    pub fn health(&self) -> ServiceHealth {
        self.tasks.health.clone()
    }

    /// Executes tasks until `shutdown` resolves. Running tasks then get the drain to finish; those that do not are reported as
    /// cancelled.
    ///
    /// # Errors
    /// When the platform rejects this connector permanently.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), ServiceError> {
        let mut running = tokio::task::JoinSet::new();
        let ended = poll::until(&self.tasks, &mut running, shutdown).await;
        self.tasks.health.set_ready(false);
        tracing::info!(
            running = running.len(),
            "ending: no further task is started, running tasks are finished"
        );
        let finished = async { while running.join_next().await.is_some() {} };
        if tokio::time::timeout(self.drain, finished).await.is_err() {
            tracing::warn!(
                running = running.len(),
                "some tasks did not finish in time and are reported as cancelled"
            );
            self.tasks.cut.cancel();
            let reported = async { while running.join_next().await.is_some() {} };
            if tokio::time::timeout(self.goodbye, reported).await.is_err() {
                tracing::warn!("the results of some tasks could not be reported to the platform");
            }
        }
        running.shutdown().await;
        let provisioning = self.access.provisioning();
        provisioning.stop_accepting();
        // A write that was sent may have been executed by Buildkite: its outcome is read and recorded.
        if tokio::time::timeout(self.goodbye, provisioning.drain()).await.is_err() {
            tracing::warn!("a change at buildkite did not finish in time: its outcome is in no record");
        }
        ended
    }
}
