//! Options for starting a sandbox.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::behaviors::Behaviors;
use super::faults::Fault;
use super::limits::LimitOptions;
use super::seed::Seed;

/// How to start a sandbox. The default is the example organization with Buildkite's own limits, on any free port.
#[derive(Clone, Debug)]
pub struct Options {
    /// Address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The organization.
    pub seed: Seed,
    /// The rate limits.
    pub limits: LimitOptions,
    /// Choices for what the documentation leaves open.
    pub behaviors: Behaviors,
    /// Minimum duration of every request.
    pub latency: Duration,
    /// How far the sandbox's clock is ahead of this machine's, in seconds; negative if it is behind.
    pub clock_offset: i64,
    /// Faults that are active from the start.
    pub faults: Vec<Fault>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            seed: Seed::Example,
            limits: LimitOptions::default(),
            behaviors: Behaviors::default(),
            latency: Duration::ZERO,
            clock_offset: 0,
            faults: Vec::new(),
        }
    }
}
