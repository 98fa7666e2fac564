//! The report: the result of every check, the credential, and the state that follows for scopes and features.

use jiff::Timestamp;

use super::check::{CheckResult, Feature, State};
use super::expiry_warning::Expiry;
use crate::governance::GovernanceError;

/// The credential in use, without the secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialReport {
    /// The name of its owner.
    pub owner_name: String,
    /// The e-mail address of its owner.
    pub owner_email: String,
    /// Its scopes.
    pub scopes: Vec<String>,
    /// When it expires.
    pub expiry: Expiry,
    /// The description that its owner gave it.
    pub description: String,
    /// What the connector uses it for.
    pub purpose: String,
    /// The scopes that it has and the connector does not need.
    pub not_needed: Vec<String>,
}

impl CredentialReport {
    /// When it expires; `None` if it never does, if it is renewed, or if that is not known.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        match self.expiry {
            Expiry::At(at) => Some(at),
            Expiry::Never | Expiry::Renewed | Expiry::Unreadable => None,
        }
    }
}

/// One of several credentials, without the secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedCredential {
    /// Its name.
    pub name: String,
    /// Its record, if it could be read.
    pub report: Option<CredentialReport>,
}

/// The state of all checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The worst state of the checks.
    pub overall: State,
    /// All checks, in the order in which they depend on each other.
    pub checks: Vec<CheckResult>,
    /// The credential, or the first of several, if its record could be read.
    pub credential: Option<CredentialReport>,
    /// All credentials, if there are several.
    pub credentials: Vec<NamedCredential>,
    /// The organization, as configured.
    pub organization: String,
}

impl Report {
    /// A report from the results of all checks.
    #[must_use]
    pub fn new(checks: Vec<CheckResult>, credential: Option<CredentialReport>, organization: String) -> Self {
        Self {
            overall: checks.iter().map(|result| result.state).max().unwrap_or(State::Unknown),
            checks,
            credential,
            credentials: Vec::new(),
            organization,
        }
    }

    /// The same report, of several credentials.
    #[must_use]
    pub fn with_credentials(self, credentials: Vec<NamedCredential>) -> Self {
        Self { credentials, ..self }
    }

    /// The records of all credentials that could be read.
    pub fn read_credentials(&self) -> impl Iterator<Item = &CredentialReport> {
        let several = self.credentials.iter().filter_map(|of| of.report.as_ref());
        let single = self.credential.iter().filter(|_| self.credentials.is_empty());
        single.chain(several)
    }

    /// The report without what differs from check to check although nothing changed.
    #[must_use]
    pub fn without_timestamps(&self) -> Self {
        let mut without_timestamps = self.clone();
        for check in &mut without_timestamps.checks {
            check.checked_at = None;
            check.latency = None;
            check.seen_at = None;
            // Holds instants; the summary says the same.
            check.error = None;
        }
        without_timestamps
    }

    /// The same report with one more check.
    #[must_use]
    pub(crate) fn with(mut self, result: CheckResult) -> Self {
        self.overall = self.overall.max(result.state);
        self.checks.push(result);
        self
    }

    /// The scopes that the checks stand for, each once.
    #[must_use]
    pub fn scopes(&self) -> Vec<&'static str> {
        let mut scopes = Vec::new();
        for scope in self.checks.iter().filter_map(|result| result.check.scope) {
            if !scopes.contains(&scope) {
                scopes.push(scope);
            }
        }
        scopes
    }

    /// The worst state of the checks of a scope.
    #[must_use]
    pub fn scope(&self, scope: &str) -> State {
        self.worst(|result| result.check.scope == Some(scope))
    }

    /// The worst state of the checks that a feature requires. Problems that concern only changes count for provisioning alone.
    #[must_use]
    pub fn feature(&self, feature: Feature) -> State {
        let includes_changes = feature == Feature::Provisioning;
        self.worst(|result| {
            result.check.required_by.contains(&feature) && (includes_changes || !result.concerns_changes_only)
        })
    }

    /// The worst state of all checks that the connector requires, without problems that concern only changes.
    #[must_use]
    pub fn reads(&self) -> State {
        self.worst(|result| !result.concerns_changes_only && !result.check.for_others)
    }

    /// The error of the first check that is unhealthy, or else unknown, as a call would end with it.
    #[must_use]
    pub fn first_failure(&self) -> Option<&GovernanceError> {
        self.first_failing().and_then(|result| result.error.as_ref())
    }

    /// The first check that is unhealthy, or else the first that is unknown. Problems that concern only changes, or only other
    /// integrations, are left out.
    pub(crate) fn first_failing(&self) -> Option<&CheckResult> {
        let of = |state| self.checks.iter().filter(move |result| result.state == state);
        of(State::Unhealthy)
            .chain(of(State::Unknown))
            .find(|result| result.error.is_some() && !result.concerns_changes_only && !result.check.for_others)
    }

    /// The worst check, if one is worse than healthy.
    #[must_use]
    pub fn worst_check(&self) -> Option<&CheckResult> {
        // On a tie take the first: later checks depend on it.
        self.checks
            .iter()
            .rev()
            .max_by_key(|result| result.state)
            .filter(|worst| worst.state > State::Healthy)
    }

    /// The recommendations of all checks.
    pub fn hints(&self) -> impl Iterator<Item = &str> {
        self.checks
            .iter()
            .flat_map(|result| result.hints.iter().map(String::as_str))
    }

    fn worst(&self, of: impl Fn(&CheckResult) -> bool) -> State {
        self.checks
            .iter()
            .filter(|result| of(result))
            .map(|result| result.state)
            .max()
            .unwrap_or(State::Healthy)
    }
}
