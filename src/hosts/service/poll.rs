//! The polling loop: a hello first, then tasks for as long as fewer than the maximum run.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tonic::Code;

use super::ServiceError;
use super::error::PlatformError;
use super::task::Tasks;
use crate::proto::c1::connectorapi::baton::v1::Task;
use crate::proto::c1::connectorapi::baton::v1::task::TaskType;

/// Starts tasks in `running` until `shutdown` resolves, or the platform rejects this connector permanently.
pub(super) async fn until(
    tasks: &Arc<Tasks>,
    running: &mut JoinSet<()>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServiceError> {
    let mut shutdown = std::pin::pin!(shutdown.fuse());
    tokio::select! {
        biased;
        () = &mut shutdown => return Ok(()),
        greeted = greet(tasks) => greeted?,
    }
    tasks.health.set_ready(true);
    tokio::select! {
        biased;
        () = &mut shutdown => Ok(()),
        ended = take(tasks, running) => ended,
    }
}

/// Sends hellos until the platform accepts one.
async fn greet(tasks: &Tasks) -> Result<(), ServiceError> {
    for failures in 0.. {
        match tasks.hello("").await {
            Ok(()) => {
                tracing::info!("the platform knows this connector");
                return Ok(());
            }
            Err(error) if error.ends_hello() => return Err(refused(&error)),
            Err(error) => {
                let wait = tasks.timing.retry_wait(failures);
                tracing::warn!(%error, ?wait, "the platform cannot be reached yet");
                sleep(wait).await;
            }
        }
    }
    Ok(())
}

fn refused(error: &PlatformError) -> ServiceError {
    let code = match error {
        PlatformError::Status(status) => status.code(),
        PlatformError::Refused(_) => Code::Unauthenticated,
        PlatformError::Untrusted | PlatformError::Transient(_) => Code::Unavailable,
    };
    let message = match error {
        PlatformError::Status(status) => format!(
            "the platform refuses this connector ({}): check BATON_CLIENT_ID, BATON_CLIENT_SECRET and the connector's page there",
            crate::telemetry::redact::redact(status.message())
        ),
        other => other.to_string(),
    };
    ServiceError::Refused { code, message }
}

/// Fetches tasks and starts them. Ends only when no token can be obtained any more.
async fn take(tasks: &Arc<Tasks>, running: &mut JoinSet<()>) -> Result<(), ServiceError> {
    let permits = Arc::new(Semaphore::new(tasks.concurrency));
    let mut failures = 0;
    loop {
        // Fails only if the semaphore is closed, and it never is.
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else {
            return Ok(());
        };
        while running.try_join_next().is_some() {}
        let answer = match tasks.platform.task().await {
            Ok(answer) => answer,
            Err(error @ (PlatformError::Untrusted | PlatformError::Refused(_))) => return Err(refused(&error)),
            Err(error) => {
                failures += 1;
                let wait = tasks.timing.poll_wait(failures);
                tracing::warn!(%error, ?wait, "the platform hands out no tasks for the moment");
                drop(permit);
                sleep(wait).await;
                continue;
            }
        };
        failures = 0;
        let next_poll = answer.next_poll.and_then(|next| Duration::try_from(next).ok());
        let next_poll = next_poll.unwrap_or_default().min(tasks.timing.longest_poll);
        match answer.task.filter(is_task) {
            Some(task) if tasks.begin(&task.id) => {
                let (tasks, heartbeat) = (Arc::clone(tasks), answer.next_heartbeat);
                running.spawn(async move {
                    tasks.execute(task, heartbeat).await;
                    drop(permit);
                });
            }
            Some(task) => {
                tracing::info!(
                    task = task.id,
                    "a task that is under way was handed out again and is not started twice"
                );
                drop(permit);
                sleep(next_poll.max(tasks.timing.duplicate)).await;
            }
            None => {
                drop(permit);
                sleep(next_poll).await;
            }
        }
    }
}

/// A task of kind `none` stands for no task.
fn is_task(task: &Task) -> bool {
    !matches!(task.task_type, Some(TaskType::None(_)))
}
