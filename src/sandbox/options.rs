//! What a sandbox can be told when it starts.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::behaviors::Behaviors;
use super::faults::Fault;
use super::limits::LimitOptions;
use super::seed::Seed;

/// How to start a sandbox. The default is the believable organization behind Buildkite's own limits, on any free port.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The organization.
    pub seed: Seed,
    /// The rate limits.
    pub limits: LimitOptions,
    /// Answers to what the documentation leaves open.
    pub behaviors: Behaviors,
    /// How long every request takes at least.
    pub latency: Duration,
    /// Faults armed from the start.
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
            faults: Vec::new(),
        }
    }
}
