//! Every metric that there is: its name, its labels, and what it tells.
//!
//! Each is recorded where what it tells of happens; what can be looked up at any moment is looked up when a monitor asks
//! ([`crate::grpc::server`]). Until somebody may ask, recording is for nothing and costs next to nothing.
//!
//! A label's values are few, and words of this program or of a protocol: never a person, a team, an organization or a secret.
//! A gauge whose value is not known is left out, never 0.

mod kind;

use metrics::{describe_counter, describe_gauge, describe_histogram};

pub use kind::{Counter, Description, Gauge, Histogram, Kind};

/// Of a request to Buildkite: from a near answer to the longest that one is waited for by default.
const REST_BUCKETS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0];

/// Of a call: from an answer out of memory to the longest that a grant or revoke waits for a rate limit.
const GRPC_BUCKETS: &[f64] = &[
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 75.0,
];

/// Of a wait for a rate limit: none at all, or up to a window and a margin.
const WAIT_BUCKETS: &[f64] = &[0.001, 0.01, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 45.0, 60.0, 75.0];

/// Calls.
pub static GRPC_REQUESTS: Counter<3> = Counter::new(
    "buildkite_connector_grpc_requests_total",
    ["service", "method", "code"],
    "calls that ended, streams and refused ones too; hung up is `CANCELLED`, a method that is not served `other`",
);

/// How long calls took.
pub static GRPC_DURATION: Histogram<2> = Histogram::new(
    "buildkite_connector_grpc_request_duration_seconds",
    ["service", "method"],
    "how long calls took, their waiting for rate limits included; streams, which last as long as callers like, are left out",
    GRPC_BUCKETS,
);

/// Requests to Buildkite.
pub static REST_REQUESTS: Counter<2> = Counter::new(
    "buildkite_connector_rest_requests_total",
    ["endpoint", "status"],
    "requests to Buildkite, each attempt by itself; the status is `none` where no answer came",
);

/// How long Buildkite took.
pub static REST_DURATION: Histogram<1> = Histogram::new(
    "buildkite_connector_rest_request_duration_seconds",
    ["endpoint"],
    "how long requests to Buildkite took, until the answer's last byte or until they were given up",
    REST_BUCKETS,
);

/// The size of Buildkite's rate limits.
pub static REST_WINDOW_LIMIT: Gauge<1> = Gauge::new(
    "buildkite_connector_rest_window_limit",
    ["bucket"],
    "requests that a window of Buildkite's rate limit holds; absent until an answer told",
);

/// What is left of them.
pub static REST_WINDOW_REMAINING: Gauge<1> = Gauge::new(
    "buildkite_connector_rest_window_remaining",
    ["bucket"],
    "requests that may still be sent in the present window; absent until an answer told",
);

/// Who waits.
pub static LANE_WAITING: Gauge<1> = Gauge::new(
    "buildkite_connector_lane_waiting",
    ["lane"],
    "requests to Buildkite that wait for their turn: grants and revokes, single reads, listings",
);

/// How long they waited.
pub static LANE_WAIT: Histogram<1> = Histogram::new(
    "buildkite_connector_lane_wait_seconds",
    ["lane"],
    "how long requests to Buildkite waited until it was their turn; those that were refused it are left out",
    WAIT_BUCKETS,
);

/// Grants and revokes.
pub static PROVISIONING: Counter<2> = Counter::new(
    "buildkite_connector_provisioning_total",
    ["operation", "outcome"],
    "grants and revokes as in the record of changes: `granted` and the like, or the reason in capitals why not",
);

/// Scope health.
pub static SCOPE_STATE: Gauge<2> = Gauge::new(
    "buildkite_connector_scope_state",
    ["check", "state"],
    "scope health: 1 for the state that a check is in, 0 for the others",
);

/// The token's end.
pub static TOKEN_EXPIRY: Gauge<0> = Gauge::new(
    "buildkite_connector_token_expiry_timestamp_seconds",
    [],
    "when the API token ends; absent for one that never does, and until its record was read",
);

/// The last sync.
pub static SYNC_LAST_SUCCESS: Gauge<0> = Gauge::new(
    "buildkite_connector_sync_last_success_timestamp_seconds",
    [],
    "when a caller last ended a sync (`Cleanup` with its `active_sync_id`) of which this process had read people, teams and every team's members whole; absent until then",
);

/// The build.
pub static BUILD_INFO: Gauge<1> = Gauge::new(
    "buildkite_connector_build_info",
    ["version"],
    "always 1; the label tells what runs",
);

/// All of them.
#[must_use]
pub fn all() -> [Description; 13] {
    [
        GRPC_REQUESTS.description(),
        GRPC_DURATION.description(),
        REST_REQUESTS.description(),
        REST_DURATION.description(),
        REST_WINDOW_LIMIT.description(),
        REST_WINDOW_REMAINING.description(),
        LANE_WAITING.description(),
        LANE_WAIT.description(),
        PROVISIONING.description(),
        SCOPE_STATE.description(),
        TOKEN_EXPIRY.description(),
        SYNC_LAST_SUCCESS.description(),
        BUILD_INFO.description(),
    ]
}

/// Tells whoever records what each of them means.
pub(crate) fn describe() {
    for metric in all() {
        match metric.kind {
            Kind::Counter => describe_counter!(metric.name, metric.help),
            Kind::Gauge => describe_gauge!(metric.name, metric.help),
            Kind::Histogram(_) => describe_histogram!(metric.name, metric.help),
        }
    }
}
