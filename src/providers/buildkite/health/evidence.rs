//! The evidence: the last response of each kind that a check depends on.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::check::Check;
use crate::governance::provider::OwnerRole;
use crate::providers::buildkite::api::scope_probe::BuildReference;
use crate::providers::buildkite::{AccessToken, ApiError, ApiErrorKind, CurrentUser, Organization, Scope};

/// The last response of one kind.
#[derive(Debug, Clone)]
pub(crate) struct Observation<T> {
    pub(crate) at: Timestamp,
    pub(crate) since: Instant,
    pub(crate) latency: Duration,
    pub(crate) outcome: Result<T, ApiError>,
}

/// The last response of each kind that a check depends on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Evidence {
    /// The token's record. A rejection is kept apart, so that the record outlives a rejection that passes.
    pub(crate) token: Option<Observation<AccessToken>>,
    pub(crate) user: Option<Observation<CurrentUser>>,
    pub(crate) organization: Option<Observation<Organization>>,
    /// The slugs of the organizations that the token reaches; requested only if the configured one is not found.
    pub(crate) reachable_organizations: Option<Observation<Vec<String>>>,
    pub(crate) owner_role: Option<Observation<OwnerRole>>,
    pub(crate) people: Option<Observation<()>>,
    pub(crate) teams: Option<Observation<()>>,
    /// The last response to a request that needs a scope with a check of its own.
    pub(crate) scopes: BTreeMap<Scope, Observation<()>>,
    /// The newest build at the last probe of builds; what is read of it proves other scopes.
    pub(crate) newest_build: Option<BuildReference>,
    /// The last response that rejected the token, unless a request that was begun later was accepted.
    pub(crate) rejected: Option<Observation<()>>,
}

impl Evidence {
    /// The token's record, if it could be read.
    pub(crate) fn token(&self) -> Option<&AccessToken> {
        self.token.as_ref().and_then(Observation::value)
    }

    /// The last response to a request that needs the scope, and so proves it if it succeeded.
    pub(crate) fn proof(&self, scope: Scope) -> Option<Observation<()>> {
        match scope {
            Scope::ReadUser => self.user.as_ref().map(Observation::erased),
            Scope::ReadOrganizations => self.organization.as_ref().map(Observation::erased),
            Scope::ReadTeams => self.teams.clone(),
            other => self.scopes.get(&other).cloned(),
        }
    }

    /// The owner's role in the organization, if it is known.
    pub(crate) fn owner_role(&self) -> Option<OwnerRole> {
        self.owner_role.as_ref().and_then(Observation::value).copied()
    }

    /// The error that prevented the request for the owner's role, if it is one that may pass.
    pub(crate) fn owner_role_error(&self) -> Option<&ApiError> {
        let passing =
            |error: &&ApiError| matches!(error.kind, ApiErrorKind::Unavailable(_) | ApiErrorKind::RateLimited(_));
        let of_role = self.owner_role.as_ref().and_then(Observation::error).filter(passing);
        let of_user = || self.user.as_ref().and_then(Observation::error).filter(passing);
        of_role.or_else(of_user)
    }

    /// Records whether a response accepts or rejects the token as such. `begun` is when its request was sent.
    pub(crate) fn record_acceptance(&mut self, seen: &Observation<()>, begun: Instant) {
        match seen.error().map(|error| &error.kind) {
            Some(ApiErrorKind::TokenRejected | ApiErrorKind::CredentialRefused(_)) => {
                self.rejected = Some(seen.clone());
            }
            // A response that is not Buildkite's own accepts nothing.
            Some(ApiErrorKind::Unavailable(_) | ApiErrorKind::Unexpected(_) | ApiErrorKind::RateLimited(_)) => {}
            _ => {
                if self.rejected.as_ref().is_some_and(|rejected| rejected.since <= begun) {
                    self.rejected = None;
                }
            }
        }
    }
}

impl Evidence {
    /// When the observation was made that decides a check that fails.
    pub(crate) fn decisive_for(&self, check: Check) -> Option<Instant> {
        fn since<T>(seen: Option<&Observation<T>>) -> Option<Instant> {
            seen.map(|seen| seen.since)
        }
        fn failed<T>(seen: Option<&Observation<T>>) -> Option<Instant> {
            since(seen.filter(|seen| seen.outcome.is_err()))
        }
        match check {
            Check::Authentication | Check::TeamMembershipManagement | Check::TeamManagement => {
                since(self.rejected.as_ref()).or_else(|| since(self.token.as_ref()))
            }
            Check::Scope(scope, _) => self
                .proof(scope)
                .map(|seen| seen.since)
                .or_else(|| since(self.rejected.as_ref()))
                .or_else(|| since(self.token.as_ref())),
            Check::UserIdentity => since(self.user.as_ref()),
            Check::OrganizationAccess => since(self.organization.as_ref()),
            Check::OrganizationMemberListing => since(self.people.as_ref()),
            // The list itself, or else what decides whether its owner is shown all of it.
            Check::TeamListing => failed(self.teams.as_ref())
                .or_else(|| failed(self.user.as_ref()))
                .or_else(|| since(self.owner_role.as_ref())),
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

    /// The observation without its value.
    fn erased(&self) -> Observation<()> {
        Observation {
            at: self.at,
            since: self.since,
            latency: self.latency,
            outcome: self.outcome.as_ref().map(|_| ()).map_err(Clone::clone),
        }
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
