//! Derives the result of a check from the evidence: a pure function, so that every sentence can be read and tested.
//!
//! The sentences are in `findings`. No sentence contains a number that changes by itself, such as the time that is left: a watcher
//! gets a report when something changed, not when time passed.

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::check::Check;
use super::credential::not_needed;
use super::evidence::{Evidence, Observation};
use super::{advisories, findings};
use crate::governance::health::{CheckResult, State};
use crate::governance::provider::HealthContext;
use crate::governance::{Change, GovernanceError, PartialVisibility};
use crate::providers::buildkite::budget::CredentialUse;
use crate::providers::buildkite::{AccessToken, ApiErrorKind, Coverage, CredentialForm};

/// What a result depends on beside the evidence.
#[derive(Debug, Clone)]
pub(crate) struct Context<'a> {
    pub(crate) organization: &'a str,
    pub(crate) partial_visibility: PartialVisibility,
    /// What the settings require.
    pub(crate) coverage: &'a Coverage,
    /// The form of the credential.
    pub(crate) credential: CredentialForm,
    /// What the credential is used for.
    pub(crate) usage: CredentialUse,
    /// The name of the credential, if there are several.
    pub(crate) name: Option<&'a str>,
    /// How far Buildkite's clock is ahead.
    pub(crate) clock_ahead: Option<SignedDuration>,
    /// Whether a probe run is in progress.
    pub(crate) probe_in_progress: bool,
    pub(crate) now: Timestamp,
    /// What governance adds.
    pub(crate) governance: &'a HealthContext,
}

/// A state with its two sentences, and the error that caused it.
pub(crate) struct Finding {
    pub(crate) state: State,
    pub(crate) summary: String,
    pub(crate) remedy: String,
    pub(crate) error: Option<GovernanceError>,
    pub(crate) concerns_changes_only: bool,
}

impl Finding {
    pub(crate) fn new(state: State, summary: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            state,
            summary: summary.into(),
            remedy: remedy.into(),
            error: None,
            concerns_changes_only: false,
        }
    }

    pub(crate) fn changes_only(self) -> Self {
        Self {
            concerns_changes_only: true,
            ..self
        }
    }

    pub(crate) fn healthy(summary: impl Into<String>) -> Self {
        Self::new(State::Healthy, summary, "")
    }

    pub(crate) fn with_error(self, error: GovernanceError) -> Self {
        Self {
            error: Some(error),
            ..self
        }
    }
}

/// Derives the result of a check from the evidence.
pub(crate) fn assess(check: Check, evidence: &Evidence, context: &Context<'_>) -> CheckResult {
    let assessor = Assessor {
        check,
        evidence,
        context,
    };
    let result = match check {
        Check::Authentication => assessor.authentication(),
        Check::UserIdentity => assessor.assess(evidence.user.as_ref(), |owner| {
            let label = owner.email.as_deref().or(owner.name.as_deref());
            Finding::healthy(format!(
                "the token belongs to {}",
                label.unwrap_or("a user without a name")
            ))
        }),
        Check::OrganizationAccess => {
            let mut result = assessor.assess(evidence.organization.as_ref(), |organization| {
                Finding::healthy(format!("the token reaches `{}`", organization.slug))
            });
            let organization = evidence.organization.as_ref().and_then(Observation::value);
            result.hints = organization
                .and_then(|organization| advisories::slug(context.organization, organization))
                .into_iter()
                .collect();
            result
        }
        Check::OrganizationMemberListing => {
            assessor.assess(evidence.people.as_ref(), |()| Finding::healthy("people can be listed"))
        }
        Check::TeamListing => assessor.assess(evidence.teams.as_ref(), |()| findings::visibility(evidence, context)),
        Check::TeamMembershipManagement => assessor.management(),
        Check::TeamManagement => assessor.by_token(|token| findings::team_management(token, evidence, context)),
        Check::Scope(scope, required_by) => assessor.scope(scope, required_by),
    };
    CheckResult {
        seen_at: evidence.decisive_for(check),
        ..result
    }
}

/// One check, and what its result is derived from.
pub(super) struct Assessor<'a> {
    check: Check,
    pub(super) evidence: &'a Evidence,
    pub(super) context: &'a Context<'a>,
}

impl Assessor<'_> {
    fn authentication(&self) -> CheckResult {
        if let Some(rejected) = &self.evidence.rejected {
            return self.assess(Some(rejected), |()| Finding::healthy(""));
        }
        let mut result = self.assess(self.evidence.token.as_ref(), |token| {
            findings::expiry(token, self.context)
        });
        let token = self.evidence.token();
        let too_much = token.and_then(|token| advisories::least_privilege(&not_needed(token, self.context)));
        result.hints = too_much
            .into_iter()
            .chain(advisories::clock(self.context.clock_ahead))
            .collect();
        result
    }

    fn management(&self) -> CheckResult {
        if !self.context.coverage.allowed().allows(Change::Membership) {
            return self.result(
                None::<&Observation<()>>,
                Finding::new(State::NotRequired, "writes are off", ""),
            );
        }
        self.by_token(|token| findings::management(token, self.evidence, self.context))
    }

    /// Derives the result from the token's record, for what no request finds out without a change.
    pub(super) fn by_token(&self, decide: impl FnOnce(&AccessToken) -> Finding) -> CheckResult {
        let seen = self.evidence.token.as_ref();
        let unread = seen.filter(|seen| seen.outcome.is_err()).map(|_| {
            let remedy = findings::remedy_for(Check::Authentication, self.evidence, self.context);
            Finding::new(
                State::Unknown,
                "not known, because the token's own record could not be read",
                remedy,
            )
        });
        match unread {
            Some(finding) if self.evidence.rejected.is_none() => self.result(None::<&Observation<()>>, finding),
            _ => self.assess(seen, decide),
        }
    }

    /// Derives the result from one observation: `works` if it succeeded, the finding for its error if it failed, or why there is none.
    pub(super) fn assess<T>(&self, seen: Option<&Observation<T>>, works: impl FnOnce(&T) -> Finding) -> CheckResult {
        let since = seen.map(|seen| seen.since);
        if let Some(finding) = self.blocked_by_dependency(since) {
            return self.result(None::<&Observation<T>>, finding);
        }
        let finding = match seen.map(|seen| &seen.outcome) {
            None if self.context.probe_in_progress => {
                Finding::new(State::Unknown, "the check is in progress", "try again in a moment")
            }
            None => Finding::new(
                State::Unknown,
                "not checked yet",
                "request it with `fresh`, or wait for the next check",
            ),
            Some(Ok(value)) => works(value),
            Some(Err(error)) => findings::finding_for_error(self.check, error, self.evidence, self.context),
        };
        self.result(seen, finding)
    }

    /// Why the check was not made, or why its evidence is older than the failure of a check that it depends on.
    fn blocked_by_dependency(&self, own: Option<Instant>) -> Option<Finding> {
        if self.check == Check::Authentication {
            return None;
        }
        let unknown = |because: &str, cause: Check| {
            let remedy = findings::remedy_for(cause, self.evidence, self.context);
            Finding::new(State::Unknown, format!("not checked, because {because}"), remedy)
        };
        if self.evidence.rejected.is_some() {
            return Some(unknown("the token is rejected", Check::Authentication));
        }
        let is_later = |since: Instant| own.is_none_or(|own| own < since);
        let token = self.evidence.token.as_ref();
        if token.is_some_and(|seen| seen.outcome.is_err() && is_later(seen.since)) {
            return Some(unknown(
                "the token's own record could not be read",
                Check::Authentication,
            ));
        }
        let is_list = matches!(
            self.check,
            Check::OrganizationMemberListing | Check::TeamListing | Check::Scope(..)
        );
        let organization = self.evidence.organization.as_ref().filter(|_| is_list)?;
        match organization.error().map(|error| &error.kind)? {
            _ if !is_later(organization.since) => None,
            // The lists are requested all the same.
            ApiErrorKind::Forbidden => None,
            ApiErrorKind::NotFound => Some(unknown("the organization is not found", Check::OrganizationAccess)),
            _ => Some(unknown("the organization could not be read", Check::OrganizationAccess)),
        }
    }

    fn result<T>(&self, seen: Option<&Observation<T>>, finding: Finding) -> CheckResult {
        CheckResult {
            check: self.check.info(),
            name: None,
            state: finding.state,
            summary: finding.summary,
            remedy: finding.remedy,
            hints: Vec::new(),
            checked_at: seen.map(|seen| seen.at),
            latency: seen.map(|seen| seen.latency),
            seen_at: None,
            error: finding.error,
            concerns_changes_only: finding.concerns_changes_only,
        }
    }
}
