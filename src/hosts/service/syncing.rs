//! A sync task: heartbeats from before its first read to after its upload, one file, and an upload that is repeated without
//! reading again.

use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::watch;
use tokio::time::{interval, sleep};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::error::PlatformError;
use super::outcome::Outcome;
use super::task::{Tasks, cut_off};
use crate::hosts::{SyncDepth, SyncProgress, SyncRequest};
use crate::proto::c1::connectorapi::baton::v1::BatonServiceHeartbeatResponse;
use crate::proto::c1::connectorapi::baton::v1::task::SyncFullTask;

/// Attempts of a first heartbeat, and of an upload.
const MAX_ATTEMPTS: u32 = 3;

/// Consecutive failed heartbeats that end a sync.
const MAX_FAILED_HEARTBEATS: u32 = 10;

/// Between two progress lines in the log.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Carries a sync out.
pub(super) async fn run(
    tasks: &Tasks,
    id: &str,
    task: SyncFullTask,
    heartbeat: Option<prost_types::Duration>,
) -> Outcome {
    let request = match request(tasks, task).await {
        Ok(request) => request,
        Err(status) => return Outcome::Failed(status),
    };
    let first = tokio::select! {
        biased;
        () = tasks.cut.cancelled() => return Outcome::Failed(cut_off()),
        first = first_heartbeat(tasks, id) => first,
    };
    let next = match first {
        Ok(answer) if answer.cancelled => {
            tracing::info!(task = id, "a sync was cancelled before it began");
            return Outcome::Dropped;
        }
        Ok(answer) => answer.next_heartbeat.or(heartbeat),
        Err(error) => return Outcome::Failed(no_heartbeats(&error)),
    };
    let stop = CancellationToken::new();
    // Ends the work on other threads when this future is dropped.
    let _stopped = stop.clone().drop_guard();
    tokio::select! {
        biased;
        () = tasks.cut.cancelled() => Outcome::Failed(cut_off()),
        ended = keep_alive(tasks, id, next) => Outcome::Failed(ended),
        done = read_and_upload(tasks, id, request, stop) => match done {
            Ok(()) => Outcome::Done { annotations: vec![], response: None },
            Err(status) => Outcome::Failed(status),
        },
    }
}

/// The sync request of a task. A type that this connector does not have is rejected by name.
async fn request(tasks: &Tasks, task: SyncFullTask) -> Result<SyncRequest, Status> {
    if !task.sync_resource_type_ids.is_empty() {
        let capabilities = tasks.metadata().await?.capabilities.unwrap_or_default();
        let known = capabilities.resource_type_capabilities.into_iter();
        let known: Vec<String> = known.filter_map(|row| row.resource_type).map(|kind| kind.id).collect();
        if let Some(unknown) = task.sync_resource_type_ids.iter().find(|id| !known.contains(id)) {
            return Err(Status::invalid_argument(format!(
                "the sync names a resource type `{}` that this connector does not have: it has {}",
                crate::telemetry::redact::redact(unknown),
                known.join(", ")
            )));
        }
    }
    Ok(SyncRequest {
        types: task.sync_resource_type_ids,
        targets: task.targeted_sync_resources,
        depth: match (task.skip_entitlements_and_grants, task.skip_grants) {
            (true, _) => SyncDepth::ResourcesOnly,
            (false, true) => SyncDepth::WithoutGrants,
            (false, false) => SyncDepth::Full,
        },
    })
}

async fn first_heartbeat(tasks: &Tasks, id: &str) -> Result<BatonServiceHeartbeatResponse, PlatformError> {
    let mut attempt = 1;
    loop {
        match tasks.platform.heartbeat(id, vec![]).await {
            Err(error) if attempt < MAX_ATTEMPTS => {
                tracing::warn!(task = id, %error, "the first heartbeat of a sync failed");
                attempt += 1;
                sleep(tasks.timing.repeat).await;
            }
            answer => return answer,
        }
    }
}

/// Sends heartbeats until the platform cancels the sync or too many of them fail; returns the status of the sync.
async fn keep_alive(tasks: &Tasks, id: &str, next: Option<prost_types::Duration>) -> Status {
    let named = |next: Option<prost_types::Duration>| next.and_then(|next| Duration::try_from(next).ok());
    let mut wait = tasks.timing.heartbeat_wait(named(next));
    let mut failed = 0;
    loop {
        sleep(wait).await;
        match tasks.platform.heartbeat(id, vec![]).await {
            Ok(answer) if answer.cancelled => return Status::cancelled("the platform cancelled the sync"),
            Ok(answer) => {
                wait = tasks.timing.heartbeat_wait(named(answer.next_heartbeat));
                failed = 0;
            }
            Err(error) => {
                failed += 1;
                tracing::warn!(task = id, %error, failed, "a heartbeat of a sync failed");
                if failed >= MAX_FAILED_HEARTBEATS {
                    return no_heartbeats(&error);
                }
            }
        }
    }
}

fn no_heartbeats(error: &PlatformError) -> Status {
    Status::unavailable(format!("the platform accepts no heartbeats of the sync ({error})"))
}

async fn read_and_upload(tasks: &Tasks, id: &str, request: SyncRequest, stop: CancellationToken) -> Result<(), Status> {
    let unusable = |error| Status::internal(format!("no file can be created for the sync: {error}"));
    let directory = match &tasks.temporary_directory {
        Some(within) => TempDir::with_prefix_in("buildkite-connector-", within),
        None => TempDir::with_prefix("buildkite-connector-"),
    }
    .map_err(unusable)?;
    let path = directory.path().join("sync.c1z");
    let (progress, latest) = watch::channel(SyncProgress::default());
    tokio::select! {
        read = tasks.syncs.run(request, &path, &progress, stop) => read?,
        () = log_progress(id, latest) => {}
    }
    upload(tasks, id, &path).await
}

/// Logs the progress of a sync for as long as it is polled.
async fn log_progress(id: &str, latest: watch::Receiver<SyncProgress>) {
    let mut ticks = interval(LOG_INTERVAL);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let SyncProgress { reading, done, total } = latest.borrow().clone();
        tracing::info!(task = id, reading, done, total, "a sync is under way");
    }
}

async fn upload(tasks: &Tasks, id: &str, path: &Path) -> Result<(), Status> {
    let mut attempt = 1;
    loop {
        let error = match tasks.platform.upload(id, path).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        tracing::warn!(task = id, %error, attempt, "the upload of a sync failed");
        if attempt == MAX_ATTEMPTS {
            return Err(Status::unavailable(format!(
                "the sync's file could not be uploaded ({error})"
            )));
        }
        if attempt > 1 {
            sleep(tasks.timing.repeat).await;
        }
        attempt += 1;
    }
}
