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

/// Tries of a first heartbeat, and of an upload.
const TRIES: u32 = 3;

/// Heartbeats that may fail in a row.
const MISSED: u32 = 10;

/// Between two log lines of a sync.
const PROGRESS: Duration = Duration::from_secs(10);

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
        Err(error) => return Outcome::Failed(unheard(&error)),
    };
    let stop = CancellationToken::new();
    // What is still at work when this ends, on whatever thread, ends too.
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

/// What the task wants read. Types that this connector does not have are refused by name.
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
    let mut tried = 1;
    loop {
        match tasks.platform.heartbeat(id, vec![]).await {
            Err(error) if tried < TRIES => {
                tracing::warn!(task = id, %error, "the first heartbeat of a sync failed");
                tried += 1;
                sleep(tasks.timing.repeat).await;
            }
            answer => return answer,
        }
    }
}

/// Sends heartbeats until the platform cancels the sync, or has not heard of it for too long: how the sync ends then.
async fn keep_alive(tasks: &Tasks, id: &str, next: Option<prost_types::Duration>) -> Status {
    let named = |next: Option<prost_types::Duration>| next.and_then(|next| Duration::try_from(next).ok());
    let mut wait = tasks.timing.heartbeat_wait(named(next));
    let mut missed = 0;
    loop {
        sleep(wait).await;
        match tasks.platform.heartbeat(id, vec![]).await {
            Ok(answer) if answer.cancelled => return Status::cancelled("the platform cancelled the sync"),
            Ok(answer) => {
                wait = tasks.timing.heartbeat_wait(named(answer.next_heartbeat));
                missed = 0;
            }
            Err(error) => {
                missed += 1;
                tracing::warn!(task = id, %error, missed, "a heartbeat of a sync failed");
                if missed >= MISSED {
                    return unheard(&error);
                }
            }
        }
    }
}

fn unheard(error: &PlatformError) -> Status {
    Status::unavailable(format!("the platform takes no heartbeats of the sync ({error})"))
}

async fn read_and_upload(tasks: &Tasks, id: &str, request: SyncRequest, stop: CancellationToken) -> Result<(), Status> {
    let unusable = |error| Status::internal(format!("no file can be made for the sync: {error}"));
    let directory = match &tasks.temporary_directory {
        Some(within) => TempDir::with_prefix_in("buildkite-connector-", within),
        None => TempDir::with_prefix("buildkite-connector-"),
    }
    .map_err(unusable)?;
    let path = directory.path().join("sync.c1z");
    let (progress, latest) = watch::channel(SyncProgress::default());
    tokio::select! {
        read = tasks.syncs.run(request, &path, &progress, stop) => read?,
        () = tell(id, latest) => {}
    }
    upload(tasks, id, &path).await
}

/// Logs how far a sync has come, for as long as it is polled.
async fn tell(id: &str, latest: watch::Receiver<SyncProgress>) {
    let mut ticks = interval(PROGRESS);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let SyncProgress { reading, done, total } = latest.borrow().clone();
        tracing::info!(task = id, reading, done, total, "a sync is under way");
    }
}

async fn upload(tasks: &Tasks, id: &str, path: &Path) -> Result<(), Status> {
    let mut tried = 1;
    loop {
        let error = match tasks.platform.upload(id, path).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        tracing::warn!(task = id, %error, tried, "the upload of a sync failed");
        if tried == TRIES {
            return Err(Status::unavailable(format!(
                "the sync's file could not be uploaded ({error})"
            )));
        }
        if tried > 1 {
            sleep(tasks.timing.repeat).await;
        }
        tried += 1;
    }
}
