//! Periodic health checks of connections, and the log of what changed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{FutureExt, select_all};
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use super::served::{Served, ServedConnection};
use crate::governance::health::{CheckResult, Report, State};
use crate::governance::{Governance, GovernanceError};
use crate::providers::buildkite::Credential;

/// Interval of health checks while Buildkite cannot be reached.
const UNKNOWN_RETRY_INTERVAL: Duration = Duration::from_secs(30);

/// Checks the health of the connections that calls used in the last hour, and always that of one without a name, which is the only
/// one. Never resolves.
pub(super) async fn monitor_all(served: Arc<Served>) {
    let connections = served.connections();
    let mut changes = connections.changes();
    let mut monitors: HashMap<u64, AbortOnDropHandle<()>> = HashMap::new();
    loop {
        let in_force = served.in_force();
        monitors
            .retain(|id, monitor| !monitor.is_finished() && in_force.iter().any(|one| one.connection().id() == *id));
        for one in in_force.iter().filter(|one| is_monitored(one)) {
            let start = || {
                let one = Arc::clone(one);
                AbortOnDropHandle::new(tokio::spawn(async move { monitor_while_used(&one).await }))
            };
            monitors.entry(one.connection().id()).or_insert_with(start);
        }
        tokio::select! {
            () = connections.woken() => {}
            ended = changes.changed() => if ended.is_err() { return },
        }
    }
}

fn is_monitored(one: &ServedConnection) -> bool {
    one.connection().name().is_none() || !one.connection().is_idle()
}

async fn monitor_while_used(one: &ServedConnection) {
    monitor(
        one.connection().governance(),
        one.credentials(),
        one.health_interval(),
        || is_monitored(one),
    )
    .await;
}

/// Checks the health of a connection that is always in use; never resolves.
pub(in crate::cli) async fn monitor_health(
    governance: Arc<Governance>,
    credentials: Vec<Arc<Credential>>,
    interval: Duration,
) {
    monitor(&governance, &credentials, interval, || true).await;
}

/// Checks health at the start, when no call has done so for `interval`, and when a credential was replaced, and logs each change in
/// one line. While Buildkite cannot be reached, it is checked more often, so that a connector that starts during an outage recovers.
/// Ends once `is_wanted` returns false.
async fn monitor(
    governance: &Governance,
    credentials: &[Arc<Credential>],
    interval: Duration,
    is_wanted: impl Fn() -> bool,
) {
    let (mut logged, mut age) = (None, interval);
    while is_wanted() {
        let report = governance.health().check(age, None).await;
        let now = report.worst_check().map(|worst| (worst.check, worst.state));
        if logged != Some(now) {
            log_health(&report);
            logged = Some(now);
        }
        let is_outage = |worst: &CheckResult| matches!(worst.error, Some(GovernanceError::Unavailable { .. }));
        let pause = if report.overall == State::Unknown || report.worst_check().is_some_and(is_outage) {
            interval.min(UNKNOWN_RETRY_INTERVAL)
        } else {
            interval
        };
        age = tokio::select! {
            () = sleep(pause) => interval,
            _ = select_all(credentials.iter().map(|credential| credential.replaced().boxed())) => {
                // Evidence about the other token is refreshed as soon as its age allows.
                sleep(governance.settings().health.min_interval).await;
                Duration::ZERO
            }
        };
    }
}

/// Logs the first of the worst checks with its remedy, or, if all are healthy, the hints.
fn log_health(report: &Report) {
    if let Some(worst) = report.worst_check() {
        tracing::warn!(
            organization = report.organization,
            state = worst.state.as_str(),
            check = &*worst.id(),
            remedy = worst.remedy,
            "buildkite: {}",
            worst.summary
        );
        return;
    }
    tracing::info!(
        organization = report.organization,
        "buildkite: everything that is needed works"
    );
    for hint in report.hints() {
        tracing::info!(organization = report.organization, "hint: {hint}");
    }
}
