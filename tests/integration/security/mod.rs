//! A connector that other hosts reach and that runs for a long time: authentication, files that change, shutdown and floods.

mod bounds;
pub mod callers;
mod drain;
mod endings;
mod pki;
mod places;
mod raw;
mod refusals;
pub mod requests;
mod rotation;
mod shares;
mod tls;
mod upstream;
