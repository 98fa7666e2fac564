//! The connector from the point of view of a platform, over a real channel with real HTTP behind it.

mod absence;
mod access;
mod answers;
mod budget;
mod connections;
mod deadlines;
mod extents;
mod matrix;
mod origin;
mod page_sizes;
mod page_tokens;
pub mod people;
mod prefetch;
pub mod provisioning;
mod rest;
mod secrets;
mod shared_reads;
mod sync;
mod tolerance;
mod unlisted_users;
mod visibility;
mod windows;
