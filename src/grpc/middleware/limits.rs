//! What a caller may ask of this process at once: each a constant with its reason. Too much is `OVERLOADED`, said at once.
//!
//! Two bounds are kept elsewhere: a message's size by the services (`connector::MESSAGE_SIZE`), a page token's by
//! `access::page_token`.

use std::num::NonZeroU32;
use std::time::Duration;

/// Connections open at once. A platform needs one. Where all are taken, an idle one makes way for a new one.
pub(crate) const CONNECTIONS: usize = 512;

/// Connections that are evicted and given time to receive GOAWAY. In a flood of new connections the rest are closed at once.
pub(crate) const CLOSING_CONNECTIONS: usize = 64;

/// Calls under way at once on one connection: above what a platform with many workers makes, below what fills memory.
pub(crate) const CALLS_PER_CONNECTION: u32 = 256;

/// Calls under way in all. Buildkite answers 16 requests at once at most; a thousand callers already wait for minutes.
pub(crate) const CALLS: usize = 1024;

/// Streams open at once, of callers and of probes each: a handful is what watches a process.
pub(crate) const STREAMS: usize = 256;

/// Calls that a client opened and reset before they were begun: more is an attack (CVE-2023-44487), and ends its connection.
pub(crate) const RESETS: usize = 20;

/// Bytes of a call's headers: a bearer, a trace and a request id are a few hundred.
pub(crate) const HEADERS: u32 = 16 * 1024;

/// Time to open a connection: a TLS handshake takes two round trips, and HTTP/2's first bytes follow at once.
pub(crate) const OPENING: Duration = Duration::from_secs(10);

/// A client that is gone without a word is noticed within twice this time.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// How long a client may take to answer a keep-alive.
pub(crate) const KEEP_ALIVE_ANSWER: Duration = Duration::from_secs(20);

/// Time for one call whose caller names no deadline: two windows of rate limit, and the writes that wait for them.
pub(crate) const CALL: Duration = Duration::from_secs(300);

/// Time for a call's message to arrive once its headers have: it is small, and who dawdles holds a place.
pub(crate) const ARRIVAL: Duration = Duration::from_secs(20);

/// Time for which a client may leave a frame of a response untaken: a round trip takes far less.
pub(crate) const UNREAD: Duration = Duration::from_secs(10);

/// The same once the drain has begun or the call's deadline has passed: time to take a frame and the status behind it.
pub(crate) const UNREAD_AT_END: Duration = Duration::from_secs(1);

/// Bytes of a response that are given to HTTP/2 at once: its default frame. What a client takes shows by as much.
pub(crate) const RESPONSE_FRAME: usize = 16 * 1024;

/// Calls per second of one caller, by default. A sync of a large organization makes a few hundred.
pub(crate) const CALLS_PER_SECOND: NonZeroU32 = NonZeroU32::new(10_000).expect("not zero");

/// A caller may make the calls of this many seconds at once.
pub(crate) const BURST_SECONDS: NonZeroU32 = NonZeroU32::new(5).expect("not zero");

/// How often callers that made no call lately are forgotten by the rate limit.
pub(crate) const FORGET_IDLE: Duration = Duration::from_secs(60);

/// Time that connections without a call are given at the end to take the goodbye; who is stuck does not.
pub(crate) const GOODBYE: Duration = Duration::from_secs(1);

/// Connections of monitors open at once, each for one request: a scraper and a few probes. One more takes the oldest's place.
pub(crate) const MONITORS: usize = 64;

/// Time for a monitor's connection, from its opening to its answer's last byte.
pub(crate) const MONITOR: Duration = Duration::from_secs(10);

/// Bytes of a monitor's request.
pub(crate) const MONITOR_HEADERS: usize = 16 * 1024;

/// How a method is bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Answered at once from memory, and by whom a supervisor judges the process: never turned away.
    Probe,
    /// A probe that stays.
    Watch,
    /// A caller's stream: as long as the caller likes.
    Stream,
    /// Everything else: it ends.
    Call,
}

impl Kind {
    /// The kind of a method, by its path.
    pub(crate) fn of(path: &str) -> Self {
        match path {
            "/grpc.health.v1.Health/Check" => Self::Probe,
            "/grpc.health.v1.Health/Watch" => Self::Watch,
            "/connector.health.v1.ScopeHealthService/WatchScopes"
            | "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
            | "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
            | "/plugin.GRPCStdio/StreamStdio"
            | "/plugin.GRPCBroker/StartStream" => Self::Stream,
            _ => Self::Call,
        }
    }
}
