//! From evidence to a verdict: a pure function of what was seen, so that every sentence can be read and tested.
//!
//! The sentences are in `findings`. No sentence holds a number that changes by itself, such as
//! the time that is left: a watcher is told of what changed, not of time passing.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::advisories;
use super::check::{Check, State};
use super::evidence::{Evidence, Observation};
use super::findings;
use super::report::not_needed;
use crate::governance::provisioning::ProtectedNames;
use crate::governance::{GovernanceError, PartialVisibility};
use crate::providers::buildkite::ApiErrorKind;

/// How one check stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckResult {
    /// Which check.
    pub check: Check,
    /// How it stands.
    pub state: State,
    /// One sentence about it.
    pub summary: String,
    /// One sentence about what to do; empty where there is nothing to do.
    pub remedy: String,
    /// What would be better otherwise although it is no fault.
    pub hints: Vec<String>,
    /// When it was seen, where it was.
    pub checked_at: Option<Timestamp>,
    /// How long the answer took.
    pub latency: Option<Duration>,
    /// The failure behind it, as a call would end with it.
    pub error: Option<GovernanceError>,
    /// Whether it is only changes that the trouble keeps from being made, and reads are unaffected.
    pub concerns_changes_only: bool,
}

/// What a verdict depends on beside evidence.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) organization: String,
    pub(crate) provisioning: bool,
    pub(crate) partial_visibility: PartialVisibility,
    pub(crate) expiry_warning: Duration,
    /// What keeps changes from being recorded.
    pub(crate) audit_error: Option<String>,
    /// How the names that are protected stand, where there are some.
    pub(crate) protected_names: Option<ProtectedNames>,
    /// How far Buildkite's clock is ahead.
    pub(crate) clock_ahead: Option<SignedDuration>,
    /// Whether somebody asks right now.
    pub(crate) probe_in_progress: bool,
    pub(crate) now: Timestamp,
}

/// A state with its two sentences, and the failure behind it.
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

/// How a check stands by what was seen.
pub(crate) fn assess(check: Check, evidence: &Evidence, context: &Context) -> CheckResult {
    let assessor = Assessor {
        check,
        evidence,
        context,
    };
    match check {
        Check::Authentication => assessor.authentication(),
        Check::UserIdentity => assessor.assess(evidence.user.as_ref(), |owner| {
            let who = owner.email.as_deref().or(owner.name.as_deref());
            Finding::healthy(format!(
                "the token belongs to {}",
                who.unwrap_or("a user without a name")
            ))
        }),
        Check::OrganizationAccess => {
            let mut result = assessor.assess(evidence.organization.as_ref(), |organization| {
                Finding::healthy(format!("the token reaches `{}`", organization.slug))
            });
            let organization = evidence.organization.as_ref().and_then(Observation::value);
            result.hints = organization
                .and_then(|organization| advisories::slug(&context.organization, organization))
                .into_iter()
                .collect();
            result
        }
        Check::OrganizationMemberListing => {
            assessor.assess(evidence.people.as_ref(), |()| Finding::healthy("people can be listed"))
        }
        Check::TeamListing => assessor.assess(evidence.teams.as_ref(), |()| findings::visibility(evidence, context)),
        Check::TeamMembershipManagement => assessor.management(),
    }
}

/// One check, before the evidence.
struct Assessor<'a> {
    check: Check,
    evidence: &'a Evidence,
    context: &'a Context,
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
        let too_much =
            token.and_then(|token| advisories::least_privilege(&not_needed(token, self.context.provisioning)));
        result.hints = too_much
            .into_iter()
            .chain(advisories::clock(self.context.clock_ahead))
            .collect();
        result
    }

    /// Writes are never made to find out: the token's scopes and the owner's role tell.
    fn management(&self) -> CheckResult {
        if !self.context.provisioning {
            return self.result(
                None::<&Observation<()>>,
                Finding::new(State::NotRequired, "writes are off", ""),
            );
        }
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
            _ => self.assess(seen, |token| findings::management(token, self.evidence, self.context)),
        }
    }

    /// What a kind of evidence means: that it works, that it failed, or that it was not asked and why.
    fn assess<T>(&self, seen: Option<&Observation<T>>, works: impl FnOnce(&T) -> Finding) -> CheckResult {
        let since = seen.map(|seen| seen.since);
        if let Some(finding) = self.blocked_by_dependency(since) {
            return self.result(None::<&Observation<T>>, finding);
        }
        let finding = match seen.map(|seen| &seen.outcome) {
            None if self.context.probe_in_progress => Finding::new(
                State::Unknown,
                "being asked, and not answered yet",
                "ask again in a moment",
            ),
            None => Finding::new(
                State::Unknown,
                "not asked yet",
                "ask with `fresh`, or wait for the next check",
            ),
            Some(Ok(value)) => works(value),
            Some(Err(error)) => findings::finding_for_error(self.check, error, self.evidence, self.context),
        };
        self.result(seen, finding)
    }

    /// Why the check was not made, or was made before what it depends on failed.
    fn blocked_by_dependency(&self, own: Option<Instant>) -> Option<Finding> {
        if self.check == Check::Authentication {
            return None;
        }
        let unknown = |because: &str, cause: Check| {
            let remedy = findings::remedy_for(cause, self.evidence, self.context);
            Finding::new(State::Unknown, format!("not asked, because {because}"), remedy)
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
        let is_list = matches!(self.check, Check::OrganizationMemberListing | Check::TeamListing);
        let organization = self.evidence.organization.as_ref().filter(|_| is_list)?;
        match organization.error().map(|error| &error.kind)? {
            _ if !is_later(organization.since) => None,
            // The lists are asked all the same.
            ApiErrorKind::Forbidden => None,
            ApiErrorKind::NotFound => Some(unknown("the organization is not found", Check::OrganizationAccess)),
            _ => Some(unknown(
                "the organization could not be asked",
                Check::OrganizationAccess,
            )),
        }
    }

    fn result<T>(&self, seen: Option<&Observation<T>>, finding: Finding) -> CheckResult {
        CheckResult {
            check: self.check,
            state: finding.state,
            summary: finding.summary,
            remedy: finding.remedy,
            hints: Vec::new(),
            checked_at: seen.map(|seen| seen.at),
            latency: seen.map(|seen| seen.latency),
            error: finding.error,
            concerns_changes_only: finding.concerns_changes_only,
        }
    }
}
