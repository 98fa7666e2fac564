//! What the budget guarantees, in virtual time.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod alone;
mod contention;
mod figures;
mod groups;
mod limiter;
mod model;
mod queue;
mod server;
mod several;
mod shared;
mod simulation;
mod strange_headers;
