//! One task: executed through this connector's own services, and its result reported.

use std::any::Any as Payload;
use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use super::error::PlatformError;
use super::forward;
use super::health::ServiceHealth;
use super::outcome::Outcome;
use super::platform::Platform;
use super::syncing;
use super::timing::Timing;
use crate::hosts::{LocalConnector, SyncRunner};
use crate::proto::c1::connector::v2::connector_service_client::ConnectorServiceClient;
use crate::proto::c1::connector::v2::grant_manager_service_client::GrantManagerServiceClient;
use crate::proto::c1::connector::v2::{
    ConnectorMetadata, ConnectorServiceGetMetadataRequest, GrantManagerServiceGrantRequest,
    GrantManagerServiceRevokeRequest,
};
use crate::proto::c1::connectorapi::baton::v1::task::{GrantTask, RevokeTask, TaskType};
use crate::proto::c1::connectorapi::baton::v1::{BatonServiceFinishTaskRequest, Task};
use crate::telemetry::traces::OperationSpan;

/// What is needed to execute tasks.
pub(super) struct Tasks {
    pub(super) platform: Platform,
    pub(super) local: LocalConnector,
    pub(super) syncs: Arc<dyn SyncRunner>,
    pub(super) temporary_directory: Option<PathBuf>,
    pub(super) concurrency: usize,
    pub(super) timing: Timing,
    pub(super) health: ServiceHealth,
    pub(super) running: Mutex<HashSet<String>>,
    /// Cancelled when the drain is over.
    pub(super) cut: CancellationToken,
}

impl Tasks {
    /// Sends a hello with the metadata of this connector.
    pub(super) async fn hello(&self, task_id: &str) -> Result<(), PlatformError> {
        let metadata = self.metadata().await?;
        self.platform.hello(task_id, metadata).await
    }

    /// The metadata and capabilities of this connector.
    pub(super) async fn metadata(&self) -> Result<ConnectorMetadata, Status> {
        let mut connector = ConnectorServiceClient::new(self.local.with_request_id("hello"));
        let answer = connector.get_metadata(ConnectorServiceGetMetadataRequest {}).await?;
        Ok(answer.into_inner().metadata.unwrap_or_default())
    }

    /// Records that a task is running; returns false if it already was.
    pub(super) fn begin(&self, id: &str) -> bool {
        self.running().insert(id.to_owned())
    }

    /// Executes a task and reports its result, also if it panics.
    pub(super) async fn execute(&self, task: Task, heartbeat: Option<prost_types::Duration>) {
        let id = task.id.clone();
        tracing::info!(task = id, "a task is begun");
        let outcome = OperationSpan::job("task", Some(&id)).instrument(self.outcome(task, heartbeat));
        let executed = AssertUnwindSafe(outcome).catch_unwind();
        let executed = Box::pin(executed).await;
        let outcome = executed.unwrap_or_else(|panic| Outcome::Failed(panicked(panic)));
        match &outcome {
            Outcome::Done { .. } => tracing::info!(task = id, "a task is done"),
            Outcome::Failed(status) => {
                tracing::warn!(task = id, code = ?status.code(), error = status.message(), "a task failed");
            }
            Outcome::Dropped => {}
        }
        if let Some(report) = outcome.report(&id) {
            self.report(report).await;
        }
        self.running().remove(&id);
    }

    async fn outcome(&self, task: Task, heartbeat: Option<prost_types::Duration>) -> Outcome {
        let id = &*task.id;
        let kind = match task.task_type {
            Some(TaskType::Hello(_)) => {
                if let Err(error) = self.hello(id).await {
                    tracing::warn!(task = id, %error, "a hello was not taken");
                }
                return Outcome::Dropped;
            }
            Some(TaskType::SyncFull(sync)) => return Box::pin(syncing::run(self, id, sync, heartbeat)).await,
            Some(TaskType::Grant(grant)) => return Box::pin(self.unless_cut(self.grant(id, grant))).await,
            Some(TaskType::Revoke(revoke)) => return Box::pin(self.unless_cut(self.revoke(id, revoke))).await,
            Some(other) => return Box::pin(self.unless_cut(self.forward(id, other))).await,
            None => "unknown to this version",
        };
        Outcome::unsupported(kind)
    }

    async fn forward(&self, id: &str, task: TaskType) -> Outcome {
        match forward::call(self.local.with_request_id(id), id, task).await {
            Ok(outcome) => outcome,
            Err(other) => Outcome::unsupported(kind(&other)),
        }
    }

    async fn unless_cut(&self, outcome: impl Future<Output = Outcome>) -> Outcome {
        tokio::select! {
            biased;
            outcome = outcome => outcome,
            () = self.cut.cancelled() => Outcome::Failed(cut_off()),
        }
    }

    async fn grant(&self, id: &str, task: GrantTask) -> Outcome {
        let mut connector = GrantManagerServiceClient::new(self.local.with_request_id(id));
        let request = GrantManagerServiceGrantRequest {
            entitlement: task.entitlement,
            principal: task.principal,
            annotations: task.annotations,
        };
        Outcome::of(connector.grant(request).await, |answer| &answer.annotations)
    }

    async fn revoke(&self, id: &str, task: RevokeTask) -> Outcome {
        let mut connector = GrantManagerServiceClient::new(self.local.with_request_id(id));
        let request = GrantManagerServiceRevokeRequest {
            grant: task.grant,
            annotations: task.annotations,
        };
        Outcome::of(connector.revoke(request).await, |answer| &answer.annotations)
    }

    /// Reports the result of a task; repeats the report if the platform may not have received it.
    async fn report(&self, report: BatonServiceFinishTaskRequest) {
        let end = Instant::now() + self.timing.report;
        // An attempt that hangs leaves time for two more.
        let attempt = self.timing.report / 3;
        for repetition in 0.. {
            let error = match self.platform.finish(report.clone(), attempt).await {
                Ok(()) => return,
                // The first report was received, and only its response was lost.
                Err(error) if repetition > 0 && error.code() == Some(Code::NotFound) => return,
                Err(error) => error,
            };
            let wait = self.timing.retry_wait(repetition);
            if !error.is_passing() || Instant::now() + wait >= end {
                tracing::error!(task = report.task_id, %error, "the result of a task could not be reported to the platform");
                return;
            }
            tracing::warn!(task = report.task_id, %error, "the report of a task is repeated");
            sleep(wait).await;
        }
    }

    fn running(&self) -> MutexGuard<'_, HashSet<String>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The status of a task that did not finish in time.
pub(super) fn cut_off() -> Status {
    Status::cancelled("the connector is ending: hand the task out again")
}

fn panicked(_: Box<dyn Payload + Send>) -> Status {
    tracing::error!("a task ended in a panic");
    Status::internal("the connector failed in this task: see its log")
}

/// The name of a kind of task in the protocol.
fn kind(task: &TaskType) -> &'static str {
    match task {
        TaskType::None(_) => "none",
        TaskType::Hello(_) => "hello",
        TaskType::SyncFull(_) => "sync_full",
        TaskType::Grant(_) => "grant",
        TaskType::Revoke(_) => "revoke",
        TaskType::CreateAccount(_) => "create_account",
        TaskType::CreateResource(_) => "create_resource",
        TaskType::DeleteResource(_) => "delete_resource",
        TaskType::RotateCredentials(_) => "rotate_credentials",
        TaskType::EventFeed(_) => "event_feed",
        TaskType::CreateTicketTask(_) => "create_ticket_task",
        TaskType::ListTicketSchemas(_) => "list_ticket_schemas",
        TaskType::GetTicket(_) => "get_ticket",
        TaskType::BulkCreateTickets(_) => "bulk_create_tickets",
        TaskType::BulkGetTickets(_) => "bulk_get_tickets",
        TaskType::ActionListSchemas(_) => "action_list_schemas",
        TaskType::ActionGetSchema(_) => "action_get_schema",
        TaskType::ActionInvoke(_) => "action_invoke",
        TaskType::ActionStatus(_) => "action_status",
        TaskType::CreateSyncDiff(_) => "create_sync_diff",
        TaskType::CompactSyncs(_) => "compact_syncs",
        TaskType::ListEventFeeds(_) => "list_event_feeds",
        TaskType::ListEvents(_) => "list_events",
        TaskType::IssueCredential(_) => "issue_credential",
    }
}
