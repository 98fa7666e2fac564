//! When prefetching stops.
//!
//! No read is started while the prefetched rows of all syncs reach [`MAX_ROWS`]. One read ends after about [`PREFETCH_ROWS`] rows of
//! a list, or [`PREFETCH_GRANTS`] grants of a resource. Grants are not read ahead while [`READY_PER_REQUEST`] resources wait for
//! each concurrent request. Rows that are not requested are freed when the sync ends, is idle for [`SESSION_IDLE_TIMEOUT`], or
//! gives way to a newer one because there are [`MAX_SESSIONS`].
//!
//! Nothing is read ahead for a sync without an id or with `--read-ahead 0`, and no grants for a sync whose resources could not be
//! listed when this process joined it late.
//!
//! [`SESSION_IDLE_TIMEOUT`]: crate::governance::sync::session::SESSION_IDLE_TIMEOUT
//! [`MAX_SESSIONS`]: crate::governance::sync::session::MAX_SESSIONS

/// No read is started while this many rows of all syncs are held: a few megabytes.
pub(super) const MAX_ROWS: usize = 20_000;

/// Grants of a resource that are prefetched, or read with the first page if the excess is kept.
pub(super) const PREFETCH_GRANTS: usize = 500;

/// Rows of a list that one prefetch reads: several pages, so that their windows are requested concurrently.
pub(super) const PREFETCH_ROWS: usize = 3 * PREFETCH_GRANTS;

/// Resources whose grants are read before they are requested, for each concurrent request: enough that the client does not wait for
/// a round trip, and few enough that little is lost if the client disappears.
pub(super) const READY_PER_REQUEST: usize = 4;
