//! What was seen last, of each kind that a check asks about.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::governance::OwnerRole;
use crate::providers::buildkite::{AccessToken, ApiError, ApiErrorKind, CurrentUser, Organization};

/// The last answer of one kind.
#[derive(Debug, Clone)]
pub(crate) struct Observation<T> {
    pub(crate) at: Timestamp,
    pub(crate) since: Instant,
    pub(crate) latency: Duration,
    pub(crate) outcome: Result<T, ApiError>,
}

/// The last answer of each kind that a check asks about.
#[derive(Debug, Clone, Default)]
pub(crate) struct Evidence {
    /// The token's record. That it is rejected is kept apart, so that the record outlives a rejection that passes.
    pub(crate) token: Option<Observation<AccessToken>>,
    pub(crate) user: Option<Observation<CurrentUser>>,
    pub(crate) organization: Option<Observation<Organization>>,
    /// The slugs of the organizations that the token reaches; asked only where the configured one is not found.
    pub(crate) reachable_organizations: Option<Observation<Vec<String>>>,
    pub(crate) owner_role: Option<Observation<OwnerRole>>,
    pub(crate) people: Option<Observation<()>>,
    pub(crate) teams: Option<Observation<()>>,
    /// The last answer that said the token is rejected, unless a request that was begun later was accepted.
    pub(crate) rejected: Option<Observation<()>>,
}

impl Evidence {
    /// What the token's record said, where it could be read.
    pub(crate) fn token(&self) -> Option<&AccessToken> {
        self.token.as_ref().and_then(Observation::value)
    }

    /// What the owner is in the organization, where it was told.
    pub(crate) fn owner_role(&self) -> Option<OwnerRole> {
        self.owner_role.as_ref().and_then(Observation::value).copied()
    }

    /// What kept the owner's role from being asked: neither their scopes nor an old answer, but trouble that passes.
    pub(crate) fn owner_role_error(&self) -> Option<&ApiError> {
        let passing =
            |error: &&ApiError| matches!(error.kind, ApiErrorKind::Unavailable(_) | ApiErrorKind::RateLimited(_));
        let of_role = self.owner_role.as_ref().and_then(Observation::error).filter(passing);
        let of_user = || self.user.as_ref().and_then(Observation::error).filter(passing);
        of_role.or_else(of_user)
    }

    /// Notes what an answer says of the token as such. `begun` is when its request was sent.
    pub(crate) fn record_acceptance(&mut self, seen: &Observation<()>, begun: Instant) {
        match seen.error().map(|error| &error.kind) {
            Some(ApiErrorKind::TokenRejected) => self.rejected = Some(seen.clone()),
            // What did not come from Buildkite accepts nothing.
            Some(ApiErrorKind::Unavailable(_) | ApiErrorKind::Unexpected(_) | ApiErrorKind::RateLimited(_)) => {}
            _ => {
                if self.rejected.as_ref().is_some_and(|rejected| rejected.since <= begun) {
                    self.rejected = None;
                }
            }
        }
    }
}

impl<T> Observation<T> {
    pub(crate) fn value(&self) -> Option<&T> {
        self.outcome.as_ref().ok()
    }

    pub(crate) fn error(&self) -> Option<&ApiError> {
        self.outcome.as_ref().err()
    }
}

impl<T> Observation<&T> {
    pub(crate) fn map<U>(self, value: impl FnOnce(&T) -> U) -> Observation<U> {
        Observation {
            at: self.at,
            since: self.since,
            latency: self.latency,
            outcome: self.outcome.map(value),
        }
    }

    pub(crate) fn discard(self) -> Observation<()> {
        self.map(|_| ())
    }
}
