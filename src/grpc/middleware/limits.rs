//! The server's limits: each a constant with its reason. A call above a limit is rejected at once as `OVERLOADED`.
//!
//! Three limits are elsewhere: a message's size in `services::MESSAGE_SIZE`, a page token's in `governance::sync::page_token`, and the time of a
//! call in `deadline.rs`.

use std::num::NonZeroU32;
use std::time::Duration;

/// Open connections. A platform needs one. At the limit, a new connection evicts an idle one.
pub(crate) const MAX_CONNECTIONS: usize = 512;

/// Evicted connections that get time to receive GOAWAY. In a flood of new connections the others are closed at once.
pub(crate) const MAX_CLOSING_CONNECTIONS: usize = 64;

/// Concurrent calls on one connection: more than a platform with many workers makes, fewer than would fill memory.
pub(crate) const MAX_CALLS_PER_CONNECTION: u32 = 256;

/// Concurrent calls over all connections. At most 16 requests to Buildkite are in flight, so a thousand callers already wait
/// for minutes.
pub(crate) const MAX_CALLS: usize = 1024;

/// Open streams, of callers and of health watches each: a process is watched by a handful.
pub(crate) const MAX_STREAMS: usize = 256;

/// Calls that a client opens and resets before they start. More than this is an attack (CVE-2023-44487) and ends the
/// connection.
pub(crate) const MAX_PENDING_RESETS: usize = 20;

/// Bytes of a call's headers: a bearer token, a trace and a request id take a few hundred.
pub(crate) const MAX_HEADER_BYTES: u32 = 16 * 1024;

/// Time to open a connection: a TLS handshake takes two round trips, and the HTTP/2 preface follows at once.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Interval of HTTP/2 pings. A client that disappeared is detected within twice this time.
pub(crate) const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(30);

/// Time for a client to answer a ping.
pub(crate) const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// Time for a request's body to arrive after its headers. It is small, and a slow client must not hold a permit.
pub(crate) const REQUEST_BODY_TIMEOUT: Duration = Duration::from_secs(20);

/// Time for a client to take a frame of a response. A round trip takes far less.
pub(crate) const UNREAD_TIMEOUT: Duration = Duration::from_secs(10);

/// The same during the drain or after the call's deadline: enough for one frame and the status that follows it.
pub(crate) const FINAL_UNREAD_TIMEOUT: Duration = Duration::from_secs(1);

/// Bytes of a response that are given to HTTP/2 at once: its default frame size. It is the granularity at which the server
/// sees that a client takes its response.
pub(crate) const RESPONSE_FRAME_BYTES: usize = 16 * 1024;

/// Default limit of one caller's calls per second. A sync of a large organization makes a few hundred.
pub(crate) const CALLS_PER_SECOND: NonZeroU32 = NonZeroU32::new(10_000).expect("not zero");

/// A burst may hold the calls of this many seconds.
pub(crate) const BURST_SECONDS: NonZeroU32 = NonZeroU32::new(5).expect("not zero");

/// Interval at which the rate limit forgets idle callers.
pub(crate) const FORGET_IDLE_INTERVAL: Duration = Duration::from_secs(60);

/// Grace period for connections without a call to receive GOAWAY at shutdown. Unresponsive peers are not waited for.
pub(crate) const GOAWAY_GRACE: Duration = Duration::from_secs(1);

/// Open connections of monitors, each for one request: a scraper and a few probes. A new one above the limit evicts the
/// oldest.
pub(crate) const MAX_MONITORS: usize = 64;

/// Time for a monitor's connection, from accept to the last byte of the response.
pub(crate) const MONITOR_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of a monitor's request.
pub(crate) const MAX_MONITOR_HEADER_BYTES: usize = 16 * 1024;
