//! All metrics: names, labels and help texts.
//!
//! Events are recorded where they happen. Values that can be read at any time are read when a monitor scrapes them
//! (`monitoring`). Without a recorder, recording has almost no cost.
//!
//! A label has few values, and they are words of this program or of a protocol: never a person, a team, an organization
//! or a secret. Where the configuration file names connections, a value that concerns one has its name as a further label. A gauge whose value is unknown is absent rather than 0.

mod kind;

use metrics::{describe_counter, describe_gauge, describe_histogram};

pub use kind::{CONNECTION, ConnectionTag, Counter, Description, Gauge, Histogram, Kind};

/// Buckets of a request to Buildkite: from a fast response to the default maximum wait.
const REST_BUCKETS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0];

/// Buckets of a call: from a response out of memory to the maximum wait of a grant or revoke for a rate limit.
const GRPC_BUCKETS: &[f64] = &[
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 75.0,
];

/// Buckets of a wait for a rate limit: from no wait to a window and a margin.
const WAIT_BUCKETS: &[f64] = &[0.001, 0.01, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 45.0, 60.0, 75.0];

/// Finished calls.
pub static GRPC_REQUESTS: Counter<3> = Counter::new(
    "buildkite_connector_grpc_requests_total",
    ["service", "method", "code"],
    "calls that ended, streams and refused ones too; hung up is `CANCELLED`, a method that is not served `other`",
);

/// Duration of calls.
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

/// Duration of requests to Buildkite.
pub static REST_DURATION: Histogram<1> = Histogram::new(
    "buildkite_connector_rest_request_duration_seconds",
    ["endpoint"],
    "how long requests to Buildkite took, until the answer's last byte or until they were given up",
    REST_BUCKETS,
);

/// Size of Buildkite's rate limits.
pub static REST_WINDOW_LIMIT: Gauge<1> = Gauge::new(
    "buildkite_connector_rest_window_limit",
    ["bucket"],
    "requests that a window of Buildkite's rate limit holds, those of several users added up; absent until a response reports it",
);

/// Remaining requests of Buildkite's rate limits.
pub static REST_WINDOW_REMAINING: Gauge<1> = Gauge::new(
    "buildkite_connector_rest_window_remaining",
    ["bucket"],
    "requests that may still be sent in the present window; absent until a response reports it",
);

/// Queued requests.
pub static LANE_WAITING: Gauge<1> = Gauge::new(
    "buildkite_connector_lane_waiting",
    ["lane"],
    "requests to Buildkite that wait for their turn: grants and revokes, single reads, listings",
);

/// Time that requests spent in the queue.
pub static LANE_WAIT: Histogram<1> = Histogram::new(
    "buildkite_connector_lane_wait_seconds",
    ["lane"],
    "how long requests to Buildkite waited until it was their turn; those that were refused it are left out",
    WAIT_BUCKETS,
);

/// Changes: grants, revokes, and changes of whole resources.
pub static PROVISIONING: Counter<3> = Counter::new(
    "buildkite_connector_provisioning_total",
    ["operation", "resource_type", "outcome"],
    "changes as in the record of changes: `granted` and the like, or the reason in capitals why not; the resource type is `none` where the request names none that is governed",
);

/// The value of a label for a resource type in a request that names none that is governed.
pub const NO_RESOURCE_TYPE: &str = "none";

/// Scope health.
pub static SCOPE_STATE: Gauge<2> = Gauge::new(
    "buildkite_connector_scope_state",
    ["check", "state"],
    "scope health: 1 for the state that a check is in, 0 for the others",
);

/// Expiry of the token.
pub static TOKEN_EXPIRY: Gauge<0> = Gauge::new(
    "buildkite_connector_token_expiry_timestamp_seconds",
    [],
    "when the API token ends, or the first of several; absent for one that never does, for a credential that is renewed, and until its record was read",
);

/// Time of the last successful sync.
pub static SYNC_LAST_SUCCESS: Gauge<0> = Gauge::new(
    "buildkite_connector_sync_last_success_timestamp_seconds",
    [],
    "when a caller last ended a sync (`Cleanup` with its `active_sync_id`) of which this process had read people, teams and every team's members whole; absent until then",
);

/// Version and commit of the build.
pub static BUILD_INFO: Gauge<2> = Gauge::new(
    "buildkite_connector_build_info",
    ["version", "commit"],
    "build information; the value is always 1",
);

/// The descriptions of all metrics.
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

/// Registers the help text of each metric with the recorder.
pub(crate) fn describe() {
    for metric in all() {
        match metric.kind {
            Kind::Counter => describe_counter!(metric.name, metric.help),
            Kind::Gauge => describe_gauge!(metric.name, metric.help),
            Kind::Histogram(_) => describe_histogram!(metric.name, metric.help),
        }
    }
}
