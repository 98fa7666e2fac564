//! The budget's promises, in virtual time.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod alone;
mod beside_others;
mod lanes;
mod model;
mod simulation;
mod strange_headers;
