//! Several credentials: which of them a check is about, and a row for each.
//!
//! A check is about a credential that is used for what the check requires: the first one that lacks the scope, else the first
//! one whose owner is not an organization admin, else the first one. The row of a credential says whether that one can do its
//! work. One that cannot be used is DEGRADED while another does its work.

use super::assess::{Context, Finding, assess};
use super::check::Check;
use super::evidence::Evidence;
use super::{credential, findings, remedy};
use crate::governance::PartialVisibility;
use crate::governance::health::{CheckInfo, CheckResult, NamedCredential, Report, State};
use crate::governance::provider::OwnerRole;
use crate::providers::buildkite::api::client::pool::{Member, MemberState};
use crate::providers::buildkite::budget::{CredentialUse, Route};
use crate::providers::buildkite::{Buildkite, Endpoint};

static CREDENTIAL: CheckInfo = CheckInfo {
    id: "credential",
    scope: None,
    probe: "GET /v2/access-token",
    endpoint: Endpoint::AccessToken.name(),
    impact: "its work is not done",
    degraded_when: "the credential cannot be used and another one does its work, or it expires soon",
    for_writes: false,
    for_others: false,
    required_by: &[],
};

impl Buildkite {
    /// The report of a connection with several credentials.
    pub(super) fn report_of_several(&self, shared: &Context<'_>, organization: String) -> Report {
        let members = self.client.pool().members();
        let evidence: Vec<Evidence> = (0..members.len()).map(|of| self.recorder.evidence(of)).collect();
        let contexts: Vec<Context<'_>> = members.iter().map(|member| context(shared, member)).collect();
        let first_of_user = self.client.limiter().first_of_user();
        let of = |position: usize| Some((evidence.get(position)?, contexts.get(position)?));
        let checks = self.coverage.checks().into_iter().filter_map(|check| {
            let (evidence, context) = of(self.decisive(check, &evidence))?;
            Some(named(assess(check, evidence, context), context))
        });
        let rows = members.iter().enumerate().filter_map(|(position, member)| {
            let (evidence, context) = of(position)?;
            let same_user = first_of_user.get(position).filter(|first| **first != position);
            let same_user = same_user.and_then(|first| Some(members.get(*first)?.name.as_str()));
            Some(self.row(member, position, same_user, (evidence, context)))
        });
        let checks = checks.chain(rows).collect();
        let credentials = members.iter().enumerate().filter_map(|(position, member)| {
            let (evidence, context) = of(position)?;
            Some(NamedCredential {
                name: member.name.clone(),
                report: evidence.token().map(|token| credential::report(token, context)),
            })
        });
        let credentials: Vec<NamedCredential> = credentials.collect();
        let first = credentials.first().and_then(|first| first.report.clone());
        Report::new(checks, first, organization).with_credentials(credentials)
    }

    /// The position of the credential that a check is about.
    fn decisive(&self, check: Check, evidence: &[Evidence]) -> usize {
        let pool = self.client.pool();
        let route = if check.info().for_writes {
            Route::Change
        } else {
            Route::Read
        };
        let used = pool.in_use(route);
        let find = |is_weaker: &dyn Fn(&Evidence) -> bool| {
            let weaker = |position: &usize| evidence.get(*position).is_some_and(is_weaker);
            used.iter().copied().find(weaker)
        };
        let lacks_scope = |of: &Evidence| {
            check
                .scope()
                .is_some_and(|scope| of.token().is_some_and(|token| token.lacks(scope)))
        };
        find(&lacks_scope)
            .or_else(|| find(&|of| of.owner_role() == Some(OwnerRole::Member)))
            .unwrap_or_else(|| pool.first(route))
    }

    fn row(
        &self,
        member: &Member,
        position: usize,
        same_user: Option<&str>,
        (evidence, context): (&Evidence, &Context<'_>),
    ) -> CheckResult {
        let mut result = assess(Check::Authentication, evidence, context);
        result.check = &CREDENTIAL;
        result.name = Some(member.name.clone());
        result.concerns_changes_only = member.usage == CredentialUse::Provisioning;
        if member.state() == MemberState::LeftOut {
            if result.state.is_operational() {
                "the credential cannot be used".clone_into(&mut result.summary);
            }
            result.state = State::Unhealthy;
            if self.has_stand_in(member.usage, position) {
                result.state = State::Degraded;
                result.summary += "; another credential does its work";
                result.error = None;
            }
            return result;
        }
        if result.state.is_operational()
            && let Some(finding) = shortcoming(evidence, context)
        {
            (result.state, result.summary, result.remedy) = (finding.state, finding.summary, finding.remedy);
            result.error = finding.error;
        }
        if let Some(name) = same_user {
            result.summary = format!(
                "{}; it shares one bucket with `{name}`, because both are of one user",
                result.summary
            );
        }
        result
    }

    /// Whether other credentials do everything that one is used for.
    fn has_stand_in(&self, usage: CredentialUse, position: usize) -> bool {
        let pool = self.client.pool();
        let is_served = |route| {
            let used = pool.in_use(route);
            used.into_iter()
                .any(|other| other != position && pool.state(other) == MemberState::InUse)
        };
        match usage {
            CredentialUse::Sync => is_served(Route::Read),
            CredentialUse::Provisioning => is_served(Route::Change),
            CredentialUse::Any => is_served(Route::Read) && is_served(Route::Change),
        }
    }
}

/// Why an accepted credential cannot do all of its work, if it cannot.
fn shortcoming(evidence: &Evidence, context: &Context<'_>) -> Option<Finding> {
    let missing = findings::missing_scopes(evidence.token()?, context);
    if !missing.is_empty() {
        let names: Vec<String> = missing.iter().map(|scope| format!("`{scope}`")).collect();
        let summary = format!("the token lacks the scope {}", names.join(" and "));
        return Some(Finding::new(
            State::Unhealthy,
            summary,
            remedy::give_scopes(&missing, context),
        ));
    }
    let is_refused = context.partial_visibility == PartialVisibility::Refuse
        && context.usage != CredentialUse::Provisioning
        && evidence.owner_role() == Some(OwnerRole::Member);
    is_refused.then(|| findings::visibility(evidence, context))
}

/// What a check depends on, for one of several credentials.
fn context<'a>(shared: &Context<'a>, member: &'a Member) -> Context<'a> {
    Context {
        credential: member.credential.form(),
        usage: member.usage,
        name: Some(&member.name),
        ..shared.clone()
    }
}

/// The result of a check, with the name of the credential that it is about if there is something to do.
fn named(result: CheckResult, context: &Context<'_>) -> CheckResult {
    match context.name {
        Some(name) if result.state > State::Healthy => CheckResult {
            summary: format!("credential `{name}`: {}", result.summary),
            ..result
        },
        _ => result,
    }
}
