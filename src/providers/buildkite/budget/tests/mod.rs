//! The budget's promises, in virtual time.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod alone;
mod beside_others;
mod figures;
mod lanes;
mod model;
mod server;
mod shell;
mod simulation;
mod strange_headers;
