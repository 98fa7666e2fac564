//! The checks of a provider and their results.

use std::borrow::Cow;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::governance::GovernanceError;

/// A feature of the connector. The checks that it requires decide whether it can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Feature {
    /// Listing and reading resources.
    Resources,
    /// Listing grants.
    Grants,
    /// Granting and revoking.
    Provisioning,
}

/// The description of a check. A provider has one static value for each of its checks.
#[derive(Debug, PartialEq, Eq)]
pub struct CheckInfo {
    /// The stable id.
    pub id: &'static str,
    /// The scope of the credential that the check stands for; `None` if it requires none.
    pub scope: Option<&'static str>,
    /// The request that the check sends.
    pub probe: &'static str,
    /// The endpoint of that request, or of the one that the check is derived from.
    pub endpoint: &'static str,
    /// What does not work while the check is unhealthy.
    pub impact: &'static str,
    /// When the check is DEGRADED.
    pub degraded_when: &'static str,
    /// Whether the check is required only while provisioning is on.
    pub for_writes: bool,
    /// Whether only other integrations with the same credential require the check. It then counts in the overall state, but
    /// neither for `Validate` nor for a service.
    pub for_others: bool,
    /// The features that require the check.
    pub required_by: &'static [Feature],
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckResult {
    /// The check.
    pub check: &'static CheckInfo,
    /// What the check is about, if there are several checks of this kind.
    pub name: Option<String>,
    /// Its state.
    pub state: State,
    /// One sentence about the state.
    pub summary: String,
    /// One sentence about what to do; empty if there is nothing to do.
    pub remedy: String,
    /// Recommendations that concern no fault.
    pub hints: Vec<String>,
    /// The time of the response that the result is from, if there was one.
    pub checked_at: Option<Timestamp>,
    /// The latency of that response.
    pub latency: Option<Duration>,
    /// When the evidence that decides the state was seen, if there is any.
    pub seen_at: Option<Instant>,
    /// The error that a call would end with because of the failure.
    pub error: Option<GovernanceError>,
    /// Whether the problem prevents only changes, and reads are unaffected.
    pub concerns_changes_only: bool,
}

impl CheckResult {
    /// The stable id of the check: that of its kind, with the name of what it is about if there are several.
    #[must_use]
    pub fn id(&self) -> Cow<'static, str> {
        match &self.name {
            None => Cow::Borrowed(self.check.id),
            Some(name) => Cow::Owned(format!("{}.{name}", self.check.id)),
        }
    }
}

/// The state of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Not required with these settings.
    NotRequired,
    /// Works.
    Healthy,
    /// Works with a limitation.
    Degraded,
    /// Could not be determined; never reported as unhealthy.
    Unknown,
    /// Does not work.
    Unhealthy,
}

impl State {
    /// All states, the best first.
    pub const ALL: [Self; 5] = [
        Self::NotRequired,
        Self::Healthy,
        Self::Degraded,
        Self::Unknown,
        Self::Unhealthy,
    ];

    /// The name of the state in the protocol's enum and in JSON, without prefix.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotRequired => "NOT_REQUIRED",
            Self::Healthy => "HEALTHY",
            Self::Degraded => "DEGRADED",
            Self::Unknown => "UNKNOWN",
            Self::Unhealthy => "UNHEALTHY",
        }
    }

    /// Whether what requires the check can be used.
    #[must_use]
    pub fn is_operational(self) -> bool {
        matches!(self, Self::NotRequired | Self::Healthy | Self::Degraded)
    }
}
