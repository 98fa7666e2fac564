//! Renders `/metrics`: counters and histograms since the start, and gauges of the current state.

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use crate::governance::connections::Connections;
use crate::governance::health::{CredentialReport, Report, State};
use crate::governance::rate_limit::BudgetState;
use crate::telemetry::metrics;
use crate::telemetry::metrics::{
    BUILD_INFO, ConnectionTag, Kind, LANE_WAITING, REST_WINDOW_LIMIT, REST_WINDOW_REMAINING, SCOPE_STATE, TOKEN_EXPIRY,
};

/// Exports the metrics of this process.
pub(crate) struct Exporter {
    handle: PrometheusHandle,
}

impl Exporter {
    /// Installs the recorder; metrics are recorded from now on.
    ///
    /// # Errors
    /// A recorder is already installed in this process.
    pub(crate) fn install() -> Result<Self, BuildError> {
        let recorder = recorder()?;
        let exporter = Self {
            handle: recorder.handle(),
        };
        ::metrics::set_global_recorder(recorder)?;
        metrics::describe();
        Ok(exporter)
    }

    /// Drains histogram samples into buckets; must run periodically.
    pub(crate) fn run_upkeep(&self) {
        self.handle.run_upkeep();
    }

    /// Renders all metrics. Sends no request to Buildkite.
    pub(crate) fn render(&self, connections: &Connections) -> Result<String, BuildError> {
        let mut text = self.handle.render();
        // A fresh recorder, so that a value that is no longer known disappears.
        let snapshot = recorder()?;
        ::metrics::with_local_recorder(&snapshot, || {
            metrics::describe();
            BUILD_INFO.set([env!("CARGO_PKG_VERSION"), env!("BUILD_COMMIT")], 1);
            for connection in connections.current().iter() {
                let tag = connection.tag();
                set_budget(&tag, &connection.governance().budget());
                set_health(&tag, &connection.governance().health().latest());
            }
        });
        text.push_str(&snapshot.handle().render());
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

fn set_budget(tag: &ConnectionTag, budget: &BudgetState) {
    for bucket in &budget.buckets {
        let name = bucket.bucket.as_str();
        // Without a known limit the remaining budget is meaningless, so it is not exported.
        if let Some(limit) = bucket.limit {
            REST_WINDOW_LIMIT.set_for(tag, [name], limit);
            REST_WINDOW_REMAINING.set_for(tag, [name], bucket.remaining);
        }
    }
    for (lane, waiting) in budget.waiting {
        LANE_WAITING.set_for(tag, [lane.as_str()], u32::try_from(waiting).unwrap_or(u32::MAX));
    }
}

fn set_health(tag: &ConnectionTag, report: &Report) {
    for result in &report.checks {
        for state in State::ALL {
            let is_current = u32::from(state == result.state);
            SCOPE_STATE.set_for(tag, [&*result.id(), state.as_str()], is_current);
        }
    }
    if let Some(end) = report.read_credentials().filter_map(CredentialReport::expires_at).min() {
        TOKEN_EXPIRY.set_timestamp_for(tag, [], end);
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, StatusCode};

    use super::*;
    use crate::governance::{CallContext, Lane};
    use crate::providers::buildkite::budget::{BudgetOptions, RateLimiter};

    #[tokio::test]
    async fn the_remaining_budget_of_a_window_of_unknown_size_is_absent() {
        let limiter = RateLimiter::new(BudgetOptions::default());
        let permit = limiter.acquire(&CallContext::new(Lane::Sync)).await.unwrap();
        let headers = HeaderMap::from_iter([("ratelimit-reset".parse().unwrap(), HeaderValue::from(30))]);
        assert!(permit.complete(StatusCode::OK, &headers, b"").is_none());
        let recorder = recorder().unwrap();
        ::metrics::with_local_recorder(&recorder, || set_budget(&ConnectionTag::default(), &limiter.state()));
        let text = recorder.handle().render();
        assert!(!text.contains(REST_WINDOW_REMAINING.description().name), "{text}");
    }
}
