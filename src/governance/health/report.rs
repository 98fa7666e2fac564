//! The report: every check's verdict, the credential, and what follows for scopes, services and calls.

use jiff::Timestamp;

use super::assess::CheckResult;
use super::check::{Check, State};
use super::expiry::Expiry;
use crate::governance::GovernanceError;
use crate::providers::buildkite::{AccessToken, Scope};

/// The credential in use, without the secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialReport {
    /// Whose it is.
    pub owner_name: String,
    /// Their e-mail address.
    pub owner_email: String,
    /// What it may do.
    pub scopes: Vec<String>,
    /// When it ends.
    pub expiry: Expiry,
    /// What its owner wrote about it.
    pub description: String,
    /// What it is used for here.
    pub purpose: String,
    /// Scopes that it has and that nothing here needs.
    pub not_needed: Vec<String>,
}

impl CredentialReport {
    /// What a token's record says, for a connector whose writes are on or off.
    pub(crate) fn of(token: &AccessToken, provisioning: bool) -> Self {
        let owner = token.user.clone();
        let purpose = if provisioning {
            "lists people, teams and memberships, and changes memberships"
        } else {
            "lists people, teams and memberships"
        };
        Self {
            owner_name: owner.as_ref().and_then(|owner| owner.name.clone()).unwrap_or_default(),
            owner_email: owner.and_then(|owner| owner.email).unwrap_or_default(),
            scopes: token.scopes.clone(),
            expiry: Expiry::of(token),
            description: token.description.clone().unwrap_or_default(),
            purpose: purpose.to_owned(),
            not_needed: not_needed(token, provisioning),
        }
    }

    /// When it ends; none where it never does or where that is not known.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        match self.expiry {
            Expiry::At(at) => Some(at),
            Expiry::Never | Expiry::Unreadable => None,
        }
    }
}

/// The scopes that a token has and that nothing here needs.
pub(crate) fn not_needed(token: &AccessToken, provisioning: bool) -> Vec<String> {
    let needed = |granted: &str| {
        let mut known = Scope::ALL.into_iter();
        known.any(|scope| scope.as_str() == granted && (provisioning || scope != Scope::WriteTeams))
    };
    token.scopes.iter().filter(|scope| !needed(scope)).cloned().collect()
}

/// How everything stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The worst of the checks.
    pub overall: State,
    /// Every check, in the table's order.
    pub checks: Vec<CheckResult>,
    /// The credential, where its record could be read.
    pub credential: Option<CredentialReport>,
    /// The organization's slug as configured.
    pub organization: String,
}

impl Report {
    /// The report without what changes from check to check although nothing changed.
    #[must_use]
    pub fn without_timestamps(&self) -> Self {
        let mut without_timestamps = self.clone();
        for check in &mut without_timestamps.checks {
            check.checked_at = None;
            check.latency = None;
            // Holds instants; what it says is in the summary.
            check.error = None;
        }
        without_timestamps
    }

    /// How the checks of a scope stand together.
    #[must_use]
    pub fn scope(&self, scope: Scope) -> State {
        self.worst(|result| result.check.row().scope == Some(scope))
    }

    /// The worst state of `checks`. Problems that concern only changes count if `includes_changes`.
    #[must_use]
    pub fn state_of(&self, checks: &[Check], includes_changes: bool) -> State {
        self.worst(|result| checks.contains(&result.check) && (includes_changes || !result.concerns_changes_only))
    }

    /// Whether reads work: trouble of changes alone is left out.
    #[must_use]
    pub fn reads_work(&self) -> bool {
        let of_reads = |result: &&CheckResult| !result.concerns_changes_only;
        self.checks
            .iter()
            .filter(of_reads)
            .all(|result| result.state.is_operational())
    }

    /// The first check of reads that fails, or else the first that could not be made, as a call would end because of it.
    #[must_use]
    pub fn first_failure(&self) -> Option<&GovernanceError> {
        self.first_failing().and_then(|result| result.error.as_ref())
    }

    /// The check that [`Self::first_failure`] is about.
    pub(crate) fn first_failing(&self) -> Option<&CheckResult> {
        let of = |state| self.checks.iter().filter(move |result| result.state == state);
        of(State::Unhealthy)
            .chain(of(State::Unknown))
            .find(|result| result.error.is_some() && !result.concerns_changes_only)
    }

    /// The worst check, where one is not in order.
    #[must_use]
    pub fn worst_check(&self) -> Option<&CheckResult> {
        // On a tie take the first: later checks depend on it.
        self.checks
            .iter()
            .rev()
            .max_by_key(|result| result.state)
            .filter(|worst| worst.state > State::Healthy)
    }

    /// What would be better otherwise although everything works.
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
