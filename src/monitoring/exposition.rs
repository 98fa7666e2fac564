//! What a monitor reads: what was recorded since the start, and how things stand now.

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use crate::governance::Governance;
use crate::governance::health::{CredentialReport, Report, State};
use crate::providers::buildkite::budget::BudgetState;
use crate::telemetry::metrics;
use crate::telemetry::metrics::{
    BUILD_INFO, Kind, LANE_WAITING, REST_WINDOW_LIMIT, REST_WINDOW_REMAINING, SCOPE_STATE, TOKEN_EXPIRY,
};

/// Everything that was recorded in this process.
pub(crate) struct Exposition {
    recorded: PrometheusHandle,
}

impl Exposition {
    /// From now on everything is recorded.
    ///
    /// # Errors
    /// When that was begun in this process before.
    pub(crate) fn begin() -> Result<Self, BuildError> {
        let recorder = recorder()?;
        let exposition = Self {
            recorded: recorder.handle(),
        };
        ::metrics::set_global_recorder(recorder)?;
        metrics::describe();
        Ok(exposition)
    }

    /// Puts what was timed into its buckets; left undone, it would pile up.
    pub(crate) fn tidy(&self) {
        self.recorded.run_upkeep();
    }

    /// The whole text. Asks Buildkite nothing.
    pub(crate) fn text(&self, access: &Governance) -> Result<String, BuildError> {
        let mut text = self.recorded.render();
        // On a recorder of its own, so that what is no longer known is gone.
        let now = recorder()?;
        ::metrics::with_local_recorder(&now, || {
            metrics::describe();
            BUILD_INFO.set([env!("CARGO_PKG_VERSION")], 1);
            set_budget(&access.budget());
            set_health(&access.latest_health());
        });
        text.push_str(&now.handle().render());
        Ok(text)
    }
}

fn recorder() -> Result<PrometheusRecorder, BuildError> {
    let mut builder = PrometheusBuilder::new();
    for metric in metrics::all() {
        if let Kind::Histogram(buckets) = metric.kind {
            builder = builder.set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), buckets)?;
        }
    }
    Ok(builder.build_recorder())
}

fn set_budget(budget: &BudgetState) {
    for bucket in &budget.buckets {
        let name = bucket.bucket.as_str();
        // What is left of a window whose size nobody told is as good as endless, and so no number.
        if let Some(limit) = bucket.limit {
            REST_WINDOW_LIMIT.set([name], limit);
            REST_WINDOW_REMAINING.set([name], bucket.remaining);
        }
    }
    for (lane, waiting) in budget.waiting {
        LANE_WAITING.set([lane.as_str()], u32::try_from(waiting).unwrap_or(u32::MAX));
    }
}

fn set_health(report: &Report) {
    for verdict in &report.checks {
        for state in State::ALL {
            let present = u32::from(state == verdict.state);
            SCOPE_STATE.set([verdict.check.row().id, state.as_str()], present);
        }
    }
    if let Some(end) = report.credential.as_ref().and_then(CredentialReport::expires_at) {
        TOKEN_EXPIRY.set_to([], end);
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, StatusCode};

    use super::*;
    use crate::providers::buildkite::budget::{BudgetOptions, Door};
    use crate::providers::buildkite::{CallContext, Lane};

    #[tokio::test]
    async fn what_is_left_of_a_window_of_unknown_size_is_absent() {
        let door = Door::new(BudgetOptions::default());
        let admission = door.enter(&CallContext::new(Lane::Sync)).await.unwrap();
        let headers = HeaderMap::from_iter([("ratelimit-reset".parse().unwrap(), HeaderValue::from(30))]);
        assert!(admission.answered(StatusCode::OK, &headers, b"").is_none());
        let recorder = recorder().unwrap();
        ::metrics::with_local_recorder(&recorder, || set_budget(&door.state()));
        let text = recorder.handle().render();
        assert!(!text.contains(REST_WINDOW_REMAINING.description().name), "{text}");
    }
}
