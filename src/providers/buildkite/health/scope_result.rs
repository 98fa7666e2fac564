//! The result of the check of a single scope: declared by the token's record, proved by a response.

use super::assess::{Assessor, Finding};
use super::check::RequiredBy;
use super::findings;
use super::scope_checks::is_provable;
use crate::governance::health::CheckResult;
use crate::providers::buildkite::{ApiErrorKind, Scope};

impl Assessor<'_> {
    /// Derives the result from the token's record and the last response that needs the scope, if a harmless request does.
    pub(super) fn scope(&self, scope: Scope, required_by: RequiredBy) -> CheckResult {
        let by_owner = |finding: Finding| match required_by {
            RequiredBy::Connector => findings::by_owner(scope, finding, self.evidence, self.context),
            RequiredBy::Others => finding,
        };
        let is_declared = self.evidence.token().is_none_or(|token| !token.lacks(scope));
        if !is_provable(scope) || !is_declared {
            return self.by_token(|token| match findings::missing_scope(scope, token, self.context) {
                Some(missing) => missing,
                None => by_owner(Finding::healthy("declared; no harmless request proves it")),
            });
        }
        match self.not_exercised(scope) {
            Some(why) => self.by_token(|_| by_owner(Finding::healthy(format!("declared, not exercised: {why}")))),
            None => self.assess(self.evidence.proof(scope).as_ref(), |()| {
                by_owner(Finding::healthy("declared and proved"))
            }),
        }
    }

    /// Why a scope was not exercised that only the data of a build can prove.
    fn not_exercised(&self, scope: Scope) -> Option<&'static str> {
        if !matches!(scope, Scope::ReadArtifacts | Scope::ReadBuildLogs) {
            return None;
        }
        match self.evidence.proof(scope) {
            Some(seen) => {
                let is_gone = seen.error().is_some_and(|error| error.kind == ApiErrorKind::NotFound);
                is_gone.then_some("the newest build does not have it")
            }
            None if !self.context.coverage.scopes().contains(&Scope::ReadBuilds) => {
                Some("`read_builds` is not required as well, so no build is known")
            }
            None => {
                let builds = self
                    .evidence
                    .token()
                    .is_some_and(|token| token.lacks(Scope::ReadBuilds))
                    || self.evidence.scopes.contains_key(&Scope::ReadBuilds);
                builds.then_some("no build with a job that has run is known")
            }
        }
    }
}
