//! A sandbox, a connector on it in this process or in its own, and the calls that a platform makes. The benches use it too.

#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

pub mod caller;
pub mod details;
pub mod listing;
pub mod load;
pub mod log;
pub mod object_list;
pub mod platform;
pub mod plugin_host;
pub mod process;
pub mod recorder;
pub mod runner;
pub mod scripted;
pub mod server;
pub mod wait;

use buildkite_connector::sandbox::{LimitOptions, Options, Sandbox, Seed, Size};

pub use caller::Caller;
pub use details::{StatusDetails, details, reason};
pub use listing::{Listing, ROWS, first_team};
pub use object_list::{ObjectList, all_scopes, covering_all, including_all};
pub use platform::{Platform, entitlement, resource, unknown_entitlement};
pub use process::{ConnectorProcess, connector};
pub use server::{Setup, TestServer};
pub use wait::{BOUND, until, until_async, within};

/// A sandbox without rate limits, so that a test meets only what it sets up.
pub async fn sandbox(seed: Seed) -> Sandbox {
    Sandbox::start(Options {
        seed,
        limits: LimitOptions::unlimited(),
        ..Options::default()
    })
    .await
    .unwrap()
}

/// The seed of an organization of this size.
pub fn sized(teams: usize, members_per_team: usize, people: usize) -> Seed {
    Seed::Sized(Size {
        teams,
        members_per_team,
        people,
        seed: 7,
        ..Size::default()
    })
}
