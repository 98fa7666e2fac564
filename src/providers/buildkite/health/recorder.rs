//! Every response of Buildkite's is evidence: the recorder observes ordinary traffic, so that most of health costs no request.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::check::Check;
use super::evidence::{Evidence, Observation};
use super::scope_checks::is_provable;
use crate::governance::{CallContext, Lane};
use crate::providers::buildkite::api::client::observer::{Completed, Observer};
use crate::providers::buildkite::api::scope_probe::BuildReference;
use crate::providers::buildkite::credential_status::owner_role;
use crate::providers::buildkite::{ApiError, ApiErrorKind, Endpoint, OrganizationMember, Unavailability, UserId};

/// Records every response as health evidence.
#[derive(Debug, Default)]
pub(crate) struct EvidenceRecorder {
    evidence: Mutex<Evidence>,
    changed: Arc<Notify>,
}

impl EvidenceRecorder {
    /// The evidence so far.
    pub(crate) fn evidence(&self) -> Evidence {
        self.lock().clone()
    }

    /// The notifier behind [`Self::changed`].
    pub(crate) fn notifier(&self) -> Arc<Notify> {
        Arc::clone(&self.changed)
    }

    /// Resolves after the next change. Supports one listener at a time.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Records the newest build, if there is one.
    pub(crate) fn record_newest_build(&self, build: Option<BuildReference>) {
        self.lock().newest_build = build;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Evidence> {
        self.evidence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records an outcome that is evidence; `keep` stores what the checks need of it.
    fn record<T>(
        &self,
        outcome: Result<&T, &ApiError>,
        begun: Instant,
        call: &CallContext,
        keep: impl FnOnce(&mut Evidence, Observation<&T>),
    ) {
        if is_conclusive(outcome, call) {
            self.keep(outcome, begun, keep);
        }
    }

    /// Records the record of an organization member, and the role in it if the member owns the token.
    fn record_member(
        &self,
        user: UserId,
        outcome: Result<&OrganizationMember, &ApiError>,
        begun: Instant,
        call: &CallContext,
    ) {
        let owner = self
            .lock()
            .user
            .as_ref()
            .and_then(Observation::value)
            .map(|owner| owner.id);
        // The role is read from the owner's own record: an absent or unreadable record means that the role is unknown.
        let hides_role = |error: &ApiError| {
            matches!(
                error.kind,
                ApiErrorKind::NotFound | ApiErrorKind::Rejected(_) | ApiErrorKind::Unexpected(_)
            )
        };
        if is_conclusive(outcome, call) || (owner == Some(user) && outcome.is_err_and(hides_role)) {
            self.keep(outcome, begun, |evidence, seen| {
                if owner == Some(user) {
                    evidence.owner_role = Some(seen.map(owner_role));
                }
            });
        }
    }

    fn keep<T>(
        &self,
        outcome: Result<&T, &ApiError>,
        begun: Instant,
        keep: impl FnOnce(&mut Evidence, Observation<&T>),
    ) {
        let seen = || Observation {
            at: Timestamp::now(),
            since: Instant::now(),
            latency: begun.elapsed(),
            outcome: outcome.map_err(Clone::clone),
        };
        let mut evidence = self.lock();
        evidence.record_acceptance(&seen().discard(), begun);
        keep(&mut evidence, seen());
        drop(evidence);
        // The permit is kept for the one listener, so a change while it is busy is not lost.
        self.changed.notify_one();
    }
}

/// Whether an outcome is evidence for a check, and not only about one row, one caller or a busy lane.
fn is_conclusive<T>(outcome: Result<&T, &ApiError>, call: &CallContext) -> bool {
    let Err(error) = outcome else {
        return true;
    };
    let about_one_row = matches!(
        error.endpoint,
        Endpoint::OrganizationMember
            | Endpoint::Team
            | Endpoint::Members
            | Endpoint::Member
            | Endpoint::TeamPipelines
            | Endpoint::TeamPipeline
            | Endpoint::TeamSuites
            | Endpoint::TeamSuite
            | Endpoint::Pipeline
            | Endpoint::Suite
            | Endpoint::Registry
            | Endpoint::Cluster
            | Endpoint::ClusterMaintainers
            | Endpoint::Invitation
            | Endpoint::PipelineBuilds
            | Endpoint::Build
    ) || error.endpoint.is_write();
    match error.kind {
        // The end of the caller (a probe has none: a response that is too late for it is `Unavailable`), or a list that changes
        // while it is read, and so can be read.
        ApiErrorKind::DeadlineExceeded
        | ApiErrorKind::Abandoned
        | ApiErrorKind::Unavailable(Unavailability::ListUnstable | Unavailability::Short) => false,
        // A sync that waits for a rate limit is not an outage.
        ApiErrorKind::RateLimited(_) => call.lane() == Lane::Interactive,
        ApiErrorKind::NotFound | ApiErrorKind::Rejected(_) | ApiErrorKind::Unexpected(_) => !about_one_row,
        // A hidden row is a 404, so the 403 of a read is about the scope. The 403 of a write may be about that one team.
        ApiErrorKind::Forbidden => !error.endpoint.is_write(),
        ApiErrorKind::TokenRejected | ApiErrorKind::CredentialRefused(_) | ApiErrorKind::Unavailable(_) => true,
    }
}

fn record_list(evidence: &mut Evidence, endpoint: Endpoint, seen: Observation<()>) {
    match Check::for_endpoint(endpoint) {
        Check::OrganizationMemberListing => evidence.people = Some(seen),
        Check::TeamListing => evidence.teams = Some(seen),
        Check::Scope(scope, _) if is_provable(scope) => drop(evidence.scopes.insert(scope, seen)),
        // The token, its owner and the organization are kept with their records. A write is not evidence, because whether it is
        // allowed depends on what it changes.
        _ => {}
    }
}

impl Observer for EvidenceRecorder {
    fn observe(&self, _credential: Option<usize>, call: &CallContext, begun: Instant, completed: Completed<'_>) {
        match completed {
            Completed::AccessToken(outcome) => self.record(outcome.as_ref(), begun, call, |evidence, seen| {
                let is_rejected = matches!(&seen.outcome, Err(error) if error.kind.is_credential_rejected());
                if !is_rejected {
                    evidence.token = Some(seen.map(Clone::clone));
                }
            }),
            Completed::User(outcome) => self.record(outcome.as_ref(), begun, call, |evidence, seen| {
                evidence.user = Some(seen.map(Clone::clone));
            }),
            Completed::Organization(outcome) => self.record(outcome.as_ref(), begun, call, |evidence, seen| {
                evidence.organization = Some(seen.map(Clone::clone));
            }),
            Completed::Organizations(outcome) => self.record(outcome.as_ref(), begun, call, |evidence, seen| {
                evidence.reachable_organizations = Some(seen.map(|organizations| {
                    organizations
                        .iter()
                        .map(|organization| organization.slug.clone())
                        .collect()
                }));
            }),
            Completed::OrganizationMember(user, outcome) => self.record_member(user, outcome.as_ref(), begun, call),
            Completed::Other(endpoint, outcome) => {
                self.record(outcome.map(|()| &()), begun, call, |evidence, seen| {
                    record_list(evidence, endpoint, seen.discard());
                });
            }
        }
    }
}
