//! Scope health: what works, what does not, and what to do, per scope of the token.
//!
//! [`table`] says what is checked, [`observed`] what was seen, [`verdict`] what follows. A report is made from the evidence of
//! ordinary traffic; only what is missing or too old is asked for, in at most six requests.

mod observed;
mod remedy;
mod table;
mod verdict;

use std::time::Duration;

use jiff::Timestamp;

pub(super) use observed::Observed;
pub use remedy::token_page;
pub use table::{Check, Row, State};
pub use verdict::Verdict;

use super::{Access, AccessError};
use crate::buildkite::pages::Position;
use crate::buildkite::{ApiError, Call, Endpoint, Scope, Trouble};
use observed::{Evidence, Seen};
use verdict::Context;

/// `fresh` asks again, but not more often than this.
const FRESH: Duration = Duration::from_secs(5);

/// How health is kept.
#[derive(Debug, Clone)]
pub struct HealthSettings {
    /// How old evidence may be (`--health-max-age`).
    pub max_age: Duration,
    /// From how long before its end on a token's expiry is warned of (`--token-expiry-warning`).
    pub expiry_warning: Duration,
}

impl Default for HealthSettings {
    fn default() -> Self {
        Self {
            max_age: Duration::from_secs(60),
            expiry_warning: Duration::from_secs(7 * 24 * 60 * 60),
        }
    }
}

/// The credential in use, without the secret.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CredentialReport {
    /// Whose it is.
    pub owner_name: String,
    /// Their e-mail address.
    pub owner_email: String,
    /// What it may do.
    pub scopes: Vec<String>,
    /// When it ends; none where it never does or is not known.
    pub expires_at: Option<Timestamp>,
    /// What its owner wrote about it.
    pub description: String,
    /// What it is used for here.
    pub purpose: String,
    /// Scopes that it has and that nothing here needs.
    pub not_needed: Vec<String>,
}

/// How everything stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The worst of the checks.
    pub overall: State,
    /// Every check, in the table's order.
    pub checks: Vec<Verdict>,
    /// The credential, where its record could be read.
    pub credential: Option<CredentialReport>,
    /// The organization's slug as configured.
    pub organization: String,
}

impl Report {
    /// The report without what changes from check to check although nothing changed.
    #[must_use]
    pub fn essence(&self) -> Self {
        let mut essence = self.clone();
        for check in &mut essence.checks {
            check.checked_at = None;
            check.latency = None;
        }
        essence
    }

    /// How the checks of a scope stand together.
    #[must_use]
    pub fn scope(&self, scope: Scope) -> State {
        self.worst(|verdict| verdict.check.row().scope == Some(scope))
    }

    /// How what a service needs stands together.
    #[must_use]
    pub fn service(&self, name: &str) -> State {
        let needed = Check::needed_by(name);
        self.worst(|verdict| needed.contains(&verdict.check))
    }

    /// The first required check that fails, as a call would end because of it.
    #[must_use]
    pub fn first_failure(&self) -> Option<&AccessError> {
        let of = |state| self.checks.iter().filter(move |verdict| verdict.state == state);
        of(State::Unhealthy)
            .chain(of(State::Unknown))
            .find_map(|verdict| verdict.error.as_ref())
    }

    fn worst(&self, of: impl Fn(&Verdict) -> bool) -> State {
        self.checks
            .iter()
            .filter(|verdict| of(verdict))
            .map(|verdict| verdict.state)
            .max()
            .unwrap_or(State::Healthy)
    }
}

impl Access {
    /// The report from what was seen so far; asks nothing.
    #[must_use]
    pub fn latest_health(&self) -> Report {
        let evidence = self.observed.evidence();
        let context = self.context();
        let checks: Vec<Verdict> = Check::ALL
            .into_iter()
            .map(|check| verdict::verdict(check, &evidence, &context))
            .collect();
        let overall = checks
            .iter()
            .map(|verdict| verdict.state)
            .max()
            .unwrap_or(State::Unknown);
        let credential = self.credential(&evidence);
        Report {
            overall,
            checks,
            credential,
            organization: context.organization,
        }
    }

    /// The report from evidence that is at most `age` old, and never asked for again within five seconds. Many askers at
    /// once cost one asking.
    pub async fn health(&self, age: Duration, call: &Call) -> Report {
        let good = age.max(FRESH);
        // What failed is in the evidence, where it says something; the report is made of that.
        let _ = self.look(Depth::Everything, Age { good, bad: FRESH }, call).await;
        self.latest_health()
    }

    /// Whether what is required works, at most a health's age ago.
    ///
    /// # Errors
    /// What the first check that fails would end a call with; where none fails but one could not be made, that.
    pub async fn validate(&self, call: &Call) -> Result<(), AccessError> {
        let report = self.health(self.settings.health.max_age, call).await;
        match report.first_failure() {
            Some(error) => Err(error.clone()),
            None if report.overall == State::Unknown => Err(AccessError::Unavailable {
                call: Endpoint::AccessToken,
                why: "buildkite did not answer in time".to_owned(),
            }),
            None => Ok(()),
        }
    }

    /// Resolves after the next answer of Buildkite's that says something about a check. One listener at a time.
    pub async fn health_news(&self) {
        self.observed.news().await;
    }

    /// Asks for what is missing or too old: the token first, since without it nothing else can be asked.
    ///
    /// # Errors
    /// The first call that failed and that everything after it depends on.
    pub(super) async fn look(&self, depth: Depth, age: Age, call: &Call) -> Result<(), ApiError> {
        let _one_at_a_time = self.probing.lock().await;
        let seen = self.observed.evidence();
        if age.is_past(seen.token.as_ref()) {
            self.upstream.access_token(call).await?;
        }
        let (organization, owner) = tokio::join!(
            self.look_at_organization(&seen, age, call),
            self.look_at_owner(&seen, age, call)
        );
        // A scope that is missing for one says nothing about the lists, and each is told on its own.
        let in_order = organization
            .as_ref()
            .map_or_else(|error| error.trouble == Trouble::Forbidden, |()| owner.is_ok());
        if depth == Depth::Everything && in_order {
            tokio::join!(
                self.look_at_people(&seen, age, call),
                self.look_at_teams(&seen, age, call)
            );
        }
        organization.and(owner)
    }

    /// Where the organization is not found, which ones the token reaches is asked instead of its lists.
    async fn look_at_organization(&self, seen: &Evidence, age: Age, call: &Call) -> Result<(), ApiError> {
        if !age.is_past(seen.organization.as_ref()) {
            return Ok(());
        }
        let outcome = self.upstream.organization(call).await.map(|_| ());
        if let Err(ApiError {
            trouble: Trouble::NotFound,
            ..
        }) = &outcome
        {
            let _ = self.upstream.organizations(call).await;
        }
        outcome
    }

    /// That the scopes do not let the owner be known is no failure.
    async fn look_at_owner(&self, seen: &Evidence, age: Age, call: &Call) -> Result<(), ApiError> {
        if age.is_past(seen.user.as_ref()) {
            untold(self.upstream.user(call).await.map(|_| ()))?;
        }
        let owner = self.observed.evidence().user.and_then(|seen| seen.outcome.ok());
        match owner {
            Some(owner) if age.is_past(seen.owner_role.as_ref()) => {
                untold(self.upstream.person(owner.id, call).await.map(|_| ()))
            }
            _ => Ok(()),
        }
    }

    /// One window is enough to know that a list can be read.
    async fn look_at_people(&self, seen: &Evidence, age: Age, call: &Call) {
        if age.is_past(seen.people.as_ref()) {
            let _ = self.upstream.people(Position::Start, 1, call).await;
        }
    }

    async fn look_at_teams(&self, seen: &Evidence, age: Age, call: &Call) {
        if age.is_past(seen.teams.as_ref()) {
            let _ = self.upstream.teams(Position::Start, 1, call).await;
        }
    }

    fn context(&self) -> Context {
        Context {
            organization: self.organization().to_owned(),
            provisioning: self.settings.provisioning,
            partial_visibility: self.settings.partial_visibility,
            expiry_warning: self.settings.health.expiry_warning,
            now: Timestamp::now(),
        }
    }

    fn credential(&self, evidence: &Evidence) -> Option<CredentialReport> {
        let token = evidence.token.as_ref()?.outcome.as_ref().ok()?;
        let owner = token.user.clone();
        let needed = |scope: &str| {
            let known = Scope::ALL.into_iter().find(|known| known.as_str() == scope);
            known.is_some_and(|known| known != Scope::WriteTeams || self.settings.provisioning)
        };
        let purpose = if self.settings.provisioning {
            "lists people, teams and memberships, and changes memberships"
        } else {
            "lists people, teams and memberships"
        };
        Some(CredentialReport {
            owner_name: owner.as_ref().and_then(|owner| owner.name.clone()).unwrap_or_default(),
            owner_email: owner.and_then(|owner| owner.email).unwrap_or_default(),
            scopes: token.scopes.clone(),
            expires_at: token.expires_at.as_deref().and_then(crate::buildkite::timestamp),
            description: token.description.clone().unwrap_or_default(),
            purpose: purpose.to_owned(),
            not_needed: token.scopes.iter().filter(|scope| !needed(scope)).cloned().collect(),
        })
    }
}

fn untold(outcome: Result<(), ApiError>) -> Result<(), ApiError> {
    match outcome {
        Err(ApiError {
            trouble: Trouble::Forbidden | Trouble::NotFound,
            ..
        }) => Ok(()),
        other => other,
    }
}

/// How much is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// Token, owner, organization and role: four requests at most.
    Standing,
    /// The lists as well: six at most.
    Everything,
}

/// From which age on evidence is asked for again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Age {
    /// Of an answer that was in order.
    pub(super) good: Duration,
    /// Of one that was not: trouble that passed should not outlive itself.
    pub(super) bad: Duration,
}

impl Age {
    fn is_past<T>(self, seen: Option<&Seen<T>>) -> bool {
        seen.is_none_or(|seen| {
            let age = if seen.outcome.is_ok() { self.good } else { self.bad };
            seen.since.elapsed() >= age
        })
    }
}
