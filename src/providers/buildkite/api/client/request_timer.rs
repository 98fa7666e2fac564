//! Every request to Buildkite counted and timed, as monitors see it.

use http::StatusCode;
use tokio::time::Instant;

use crate::providers::buildkite::api::endpoint::Endpoint;
use crate::telemetry::metrics::{REST_DURATION, REST_REQUESTS};

/// A request on its way. One that goes before it is answered, for whatever reason, counts as one without an answer.
pub(crate) struct Measured {
    endpoint: Endpoint,
    sent: Instant,
    status: Option<StatusCode>,
}

impl Measured {
    /// It leaves now.
    pub(crate) fn sent(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            sent: Instant::now(),
            status: None,
        }
    }

    /// Its answer is here, with this status.
    pub(crate) fn answered(mut self, status: StatusCode) {
        self.status = Some(status);
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        let endpoint = self.endpoint.name();
        let status = self.status.as_ref().map_or("none", StatusCode::as_str);
        REST_REQUESTS.count([endpoint, status]);
        REST_DURATION.took([endpoint], self.sent.elapsed());
    }
}
