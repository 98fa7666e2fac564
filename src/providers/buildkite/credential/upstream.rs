//! What a credential needs of the client in order to obtain what it authorizes requests with.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;

use crate::providers::buildkite::api::clock_skew::ClockSkew;
use crate::providers::buildkite::api::origin::ApiOrigin;

/// The timestamp of the root is read once, for at most this long; the clock of this machine serves as well.
const CLOCK_TIMEOUT: Duration = Duration::from_secs(3);

/// The API that a credential is for. Clones share connections and the known clock skew.
#[derive(Debug, Clone)]
pub(crate) struct Upstream {
    pub(crate) http: reqwest::Client,
    pub(crate) origin: ApiOrigin,
    pub(crate) clock_skew: Arc<ClockSkew>,
    /// Timeout of one request.
    pub(crate) timeout: Duration,
}

/// What the root of the API returns to anybody.
#[derive(Deserialize)]
struct Root {
    timestamp: i64,
}

impl Upstream {
    /// Reads the server's clock, without a credential. Without a usable response the skew stays unknown.
    pub(super) async fn read_clock(&self) {
        let request = self
            .http
            .get(self.origin.root())
            .timeout(CLOCK_TIMEOUT.min(self.timeout));
        let Ok(response) = request.send().await else { return };
        if !response.status().is_success() {
            return;
        }
        let root = response.json::<Root>().await.ok();
        let server_time = root.and_then(|root| Timestamp::from_second(root.timestamp).ok());
        if let Some(server_time) = server_time {
            self.clock_skew.observe_time(server_time, Timestamp::now());
        }
    }

    /// The time by the server's clock, as far as its skew is known.
    pub(super) fn now(&self) -> Timestamp {
        self.clock_skew.server_time(Timestamp::now())
    }
}
