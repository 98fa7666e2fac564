//! The probes of single scopes (reference, part two, section 5): which are due, and in which order they are sent.

use futures::future::join_all;

use super::check::{Check, RequiredBy};
use super::evidence::{Evidence, Observation};
use crate::governance::CallContext;
use crate::governance::provider::MaxAge;
use crate::providers::buildkite::api::scope_probe::{BuildReference, ScopeProbe};
use crate::providers::buildkite::{ApiErrorKind, Buildkite, Scope};

impl Buildkite {
    /// Sends the probes that are due. A scope that the token does not declare is not probed, because its result is known. The
    /// recorder keeps every outcome.
    pub(super) async fn probe_scopes(&self, position: usize, seen: &Evidence, age: MaxAge, call: &CallContext) {
        let evidence = self.recorder.evidence(position);
        let Some(token) = evidence.token() else {
            return;
        };
        let due = |check: Check| match check {
            Check::Scope(scope, required_by) => {
                (!token.lacks(scope) && is_due(seen.scopes.get(&scope), required_by, age)).then_some(scope)
            }
            _ => None,
        };
        let due: Vec<Scope> = self.coverage.checks().into_iter().filter_map(due).collect();
        let lists = due.iter().filter_map(|scope| list_probe(*scope));
        let lists = join_all(lists.map(|probe| self.client.probe_scope(probe, call)));
        tokio::join!(lists, self.probe_builds(position, &due, call));
    }

    /// Probes builds before what is read of a build. Without a build, the scopes for that are not exercised.
    async fn probe_builds(&self, position: usize, due: &[Scope], call: &CallContext) {
        if due.contains(&Scope::ReadBuilds)
            && let Ok(build) = self.client.newest_build(call).await
        {
            self.recorder.record_newest_build(build);
        }
        let Some(build) = self.recorder.evidence(position).newest_build else {
            return;
        };
        let of_build = due.iter().filter_map(|scope| probe_of_build(*scope, &build));
        join_all(of_build.map(|probe| self.client.probe_scope(probe, call))).await;
    }
}

/// Whether an observation is missing or too old. What only other integrations require is requested again at most hourly, unless
/// Buildkite did not answer.
fn is_due(seen: Option<&Observation<()>>, required_by: RequiredBy, age: MaxAge) -> bool {
    let Some(seen) = seen else {
        return true;
    };
    let is_transient = |kind: &ApiErrorKind| {
        matches!(
            kind,
            ApiErrorKind::Unavailable(_)
                | ApiErrorKind::RateLimited(_)
                | ApiErrorKind::DeadlineExceeded
                | ApiErrorKind::Abandoned
        )
    };
    let is_answered = !seen.error().is_some_and(|error| is_transient(&error.kind));
    match required_by {
        RequiredBy::Others if is_answered => seen.since.elapsed() >= age.others,
        RequiredBy::Others | RequiredBy::Connector => age.is_exceeded(seen.outcome.is_ok(), seen.since),
    }
}

/// The probe that reads a list of the organization; builds are read by a probe of their own.
fn list_probe(scope: Scope) -> Option<ScopeProbe> {
    match scope {
        Scope::ReadPipelines => Some(ScopeProbe::Pipelines),
        Scope::ReadSuites => Some(ScopeProbe::Suites),
        Scope::ReadRegistries => Some(ScopeProbe::Registries),
        Scope::ReadClusters => Some(ScopeProbe::Clusters),
        Scope::ReadOrganizationInvitations => Some(ScopeProbe::Invitations),
        Scope::ReadAgents => Some(ScopeProbe::Agents),
        Scope::ReadAuditEvents => Some(ScopeProbe::AuditEvents),
        _ => None,
    }
}

/// The probe that reads what belongs to a build.
fn probe_of_build(scope: Scope, build: &BuildReference) -> Option<ScopeProbe> {
    match scope {
        Scope::ReadArtifacts => Some(ScopeProbe::Artifacts(build.clone())),
        Scope::ReadBuildLogs => build.job.map(|job| ScopeProbe::JobLog(build.clone(), job)),
        _ => None,
    }
}
