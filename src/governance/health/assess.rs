//! From evidence to a verdict: a pure function of what was seen, so that every sentence can be read and tested.
//!
//! What works is said in `working`, what failed in `failure`. No sentence holds a number that changes by itself, such as
//! the time that is left: a watcher is told of what changed, not of time passing.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::advisories;
use super::check::{Check, State};
use super::evidence::{Evidence, Seen};
use super::report::not_needed;
use super::{failure, working};
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
    pub(crate) audit_trouble: Option<String>,
    /// How the names that are protected stand, where there are some.
    pub(crate) protected_names: Option<ProtectedNames>,
    /// How far Buildkite's clock is ahead.
    pub(crate) clock_ahead: Option<SignedDuration>,
    /// Whether somebody asks right now.
    pub(crate) asking: bool,
    pub(crate) now: Timestamp,
}

/// A state with its two sentences, and the failure behind it.
pub(crate) struct Told {
    pub(crate) state: State,
    pub(crate) summary: String,
    pub(crate) remedy: String,
    pub(crate) error: Option<GovernanceError>,
    pub(crate) concerns_changes_only: bool,
}

impl Told {
    pub(crate) fn new(state: State, summary: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            state,
            summary: summary.into(),
            remedy: remedy.into(),
            error: None,
            concerns_changes_only: false,
        }
    }

    pub(crate) fn of_changes(self) -> Self {
        Self {
            concerns_changes_only: true,
            ..self
        }
    }

    pub(crate) fn healthy(summary: impl Into<String>) -> Self {
        Self::new(State::Healthy, summary, "")
    }

    pub(crate) fn because_of(self, error: GovernanceError) -> Self {
        Self {
            error: Some(error),
            ..self
        }
    }
}

/// How a check stands by what was seen.
pub(crate) fn verdict(check: Check, evidence: &Evidence, context: &Context) -> CheckResult {
    let judge = Judge {
        check,
        evidence,
        context,
    };
    match check {
        Check::Authentication => judge.authentication(),
        Check::UserIdentity => judge.by(evidence.user.as_ref(), |owner| {
            let who = owner.email.as_deref().or(owner.name.as_deref());
            Told::healthy(format!(
                "the token belongs to {}",
                who.unwrap_or("a user without a name")
            ))
        }),
        Check::OrganizationAccess => {
            let mut verdict = judge.by(evidence.organization.as_ref(), |organization| {
                Told::healthy(format!("the token reaches `{}`", organization.slug))
            });
            let organization = evidence.organization.as_ref().and_then(Seen::value);
            verdict.hints = organization
                .and_then(|organization| advisories::slug(&context.organization, organization))
                .into_iter()
                .collect();
            verdict
        }
        Check::OrganizationMemberListing => {
            judge.by(evidence.people.as_ref(), |()| Told::healthy("people can be listed"))
        }
        Check::TeamListing => judge.by(evidence.teams.as_ref(), |()| working::visibility(evidence, context)),
        Check::TeamMembershipManagement => judge.management(),
    }
}

/// One check, before the evidence.
struct Judge<'a> {
    check: Check,
    evidence: &'a Evidence,
    context: &'a Context,
}

impl Judge<'_> {
    fn authentication(&self) -> CheckResult {
        if let Some(rejected) = &self.evidence.rejected {
            return self.by(Some(rejected), |()| Told::healthy(""));
        }
        let mut verdict = self.by(self.evidence.token.as_ref(), |token| {
            working::expiry(token, self.context)
        });
        let token = self.evidence.token();
        let too_much =
            token.and_then(|token| advisories::least_privilege(&not_needed(token, self.context.provisioning)));
        verdict.hints = too_much
            .into_iter()
            .chain(advisories::clock(self.context.clock_ahead))
            .collect();
        verdict
    }

    /// Writes are never made to find out: the token's scopes and the owner's role tell.
    fn management(&self) -> CheckResult {
        if !self.context.provisioning {
            return self.told(None::<&Seen<()>>, Told::new(State::NotRequired, "writes are off", ""));
        }
        let seen = self.evidence.token.as_ref();
        let unread = seen.filter(|seen| seen.outcome.is_err()).map(|_| {
            let remedy = failure::remedy_of(Check::Authentication, self.evidence, self.context);
            Told::new(
                State::Unknown,
                "not known, because the token's own record could not be read",
                remedy,
            )
        });
        match unread {
            Some(told) if self.evidence.rejected.is_none() => self.told(None::<&Seen<()>>, told),
            _ => self.by(seen, |token| working::management(token, self.evidence, self.context)),
        }
    }

    /// What a kind of evidence means: that it works, that it failed, or that it was not asked and why.
    fn by<T>(&self, seen: Option<&Seen<T>>, works: impl FnOnce(&T) -> Told) -> CheckResult {
        let since = seen.map(|seen| seen.since);
        if let Some(told) = self.not_asked(since) {
            return self.told(None::<&Seen<T>>, told);
        }
        let told = match seen.map(|seen| &seen.outcome) {
            None if self.context.asking => Told::new(
                State::Unknown,
                "being asked, and not answered yet",
                "ask again in a moment",
            ),
            None => Told::new(
                State::Unknown,
                "not asked yet",
                "ask with `fresh`, or wait for the next check",
            ),
            Some(Ok(value)) => works(value),
            Some(Err(error)) => failure::told(self.check, error, self.evidence, self.context),
        };
        self.told(seen, told)
    }

    /// Why the check was not made, or was made before what it depends on failed.
    fn not_asked(&self, own: Option<Instant>) -> Option<Told> {
        if self.check == Check::Authentication {
            return None;
        }
        let unknown = |because: &str, cause: Check| {
            let remedy = failure::remedy_of(cause, self.evidence, self.context);
            Told::new(State::Unknown, format!("not asked, because {because}"), remedy)
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

    fn told<T>(&self, seen: Option<&Seen<T>>, told: Told) -> CheckResult {
        CheckResult {
            check: self.check,
            state: told.state,
            summary: told.summary,
            remedy: told.remedy,
            hints: Vec::new(),
            checked_at: seen.map(|seen| seen.at),
            latency: seen.map(|seen| seen.latency),
            error: told.error,
            concerns_changes_only: told.concerns_changes_only,
        }
    }
}
