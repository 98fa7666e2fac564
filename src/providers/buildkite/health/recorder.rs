//! Every response of Buildkite's is evidence: this wrapper records what ordinary traffic shows, so that most of health costs no
//! request.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::check::Check;
use super::evidence::{Evidence, Observation};
use crate::governance::rate_limit::BudgetState;
use crate::governance::{CallContext, Lane};
use crate::providers::buildkite::credential_status::owner_role;
use crate::providers::buildkite::pagination::{Batch, Cursor};
use crate::providers::buildkite::{
    AccessToken, ApiError, ApiErrorKind, CurrentUser, Endpoint, Organization, OrganizationMember, Role, Team, TeamId,
    TeamMember, Unavailability, Upstream, UserId,
};

/// Records every response as health evidence.
#[derive(Debug)]
pub(crate) struct EvidenceRecorder {
    inner: Arc<dyn Upstream>,
    evidence: Mutex<Evidence>,
    changed: Arc<Notify>,
}

impl EvidenceRecorder {
    pub(crate) fn new(inner: Arc<dyn Upstream>) -> Self {
        Self {
            inner,
            evidence: Mutex::default(),
            changed: Arc::default(),
        }
    }

    /// The evidence so far.
    pub(crate) fn evidence(&self) -> Evidence {
        self.lock().clone()
    }

    /// The notifier behind [`Self::notify`].
    pub(crate) fn notifier(&self) -> Arc<Notify> {
        Arc::clone(&self.changed)
    }

    /// Resolves after the next change. Supports one listener at a time.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Evidence> {
        self.evidence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn observe<T, F>(
        &self,
        call: &CallContext,
        request: F,
        keep: impl FnOnce(&mut Evidence, Observation<&T>) + Send,
    ) -> Result<T, ApiError>
    where
        T: Send,
        F: Future<Output = Result<T, ApiError>> + Send,
    {
        let begun = Instant::now();
        let outcome = request.await;
        if is_conclusive(&outcome, call) {
            self.record(&outcome, begun, keep);
        }
        outcome
    }

    fn record<T>(
        &self,
        outcome: &Result<T, ApiError>,
        begun: Instant,
        keep: impl FnOnce(&mut Evidence, Observation<&T>),
    ) {
        let seen = || Observation {
            at: Timestamp::now(),
            since: Instant::now(),
            latency: begun.elapsed(),
            outcome: outcome.as_ref().map_err(Clone::clone),
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
fn is_conclusive<T>(outcome: &Result<T, ApiError>, call: &CallContext) -> bool {
    let Err(error) = outcome else {
        return true;
    };
    let about_one_row = matches!(
        error.endpoint,
        Endpoint::OrganizationMember | Endpoint::Team | Endpoint::Members | Endpoint::Member
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
        ApiErrorKind::TokenRejected | ApiErrorKind::Unavailable(_) => true,
    }
}

fn record_list(evidence: &mut Evidence, endpoint: Endpoint, seen: Observation<()>) {
    match Check::for_endpoint(endpoint) {
        Check::OrganizationMemberListing => evidence.people = Some(seen),
        Check::TeamListing => evidence.teams = Some(seen),
        // The token, its owner and the organization are kept with their records. A write is not evidence, because whether it is
        // allowed depends on the team.
        _ => {}
    }
}

#[async_trait]
impl Upstream for EvidenceRecorder {
    fn organization_slug(&self) -> &str {
        self.inner.organization_slug()
    }

    fn budget(&self) -> BudgetState {
        self.inner.budget()
    }

    fn clock_ahead(&self) -> Option<SignedDuration> {
        self.inner.clock_ahead()
    }

    fn forecast(&self, lane: Lane, requests: u32) -> Option<Instant> {
        self.inner.forecast(lane, requests)
    }

    async fn access_token(&self, call: &CallContext) -> Result<AccessToken, ApiError> {
        self.observe(call, self.inner.access_token(call), |evidence, seen| {
            let is_rejected = matches!(&seen.outcome, Err(error) if error.kind == ApiErrorKind::TokenRejected);
            if !is_rejected {
                evidence.token = Some(seen.map(Clone::clone));
            }
        })
        .await
    }

    async fn user(&self, call: &CallContext) -> Result<CurrentUser, ApiError> {
        self.observe(call, self.inner.user(call), |evidence, seen| {
            evidence.user = Some(seen.map(Clone::clone));
        })
        .await
    }

    async fn organization(&self, call: &CallContext) -> Result<Organization, ApiError> {
        self.observe(call, self.inner.organization(call), |evidence, seen| {
            evidence.organization = Some(seen.map(Clone::clone));
        })
        .await
    }

    async fn organizations(&self, call: &CallContext) -> Result<Vec<Organization>, ApiError> {
        self.observe(call, self.inner.organizations(call), |evidence, seen| {
            evidence.reachable_organizations = Some(seen.map(|reachable_organizations| {
                reachable_organizations
                    .iter()
                    .map(|organization| organization.slug.clone())
                    .collect()
            }));
        })
        .await
    }

    async fn people(
        &self,
        from: Cursor,
        enough: usize,
        call: &CallContext,
    ) -> Result<Batch<OrganizationMember>, ApiError> {
        self.observe(call, self.inner.people(from, enough, call), |evidence, seen| {
            record_list(evidence, Endpoint::OrganizationMembers, seen.discard());
        })
        .await
    }

    async fn person(&self, user: UserId, call: &CallContext) -> Result<OrganizationMember, ApiError> {
        let begun = Instant::now();
        let outcome = self.inner.person(user, call).await;
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
        if is_conclusive(&outcome, call) || (owner == Some(user) && outcome.as_ref().is_err_and(hides_role)) {
            self.record(&outcome, begun, |evidence, seen| {
                if owner == Some(user) {
                    evidence.owner_role = Some(seen.map(owner_role));
                }
            });
        }
        outcome
    }

    async fn teams(&self, from: Cursor, enough: usize, call: &CallContext) -> Result<Batch<Team>, ApiError> {
        self.observe(call, self.inner.teams(from, enough, call), |evidence, seen| {
            record_list(evidence, Endpoint::Teams, seen.discard());
        })
        .await
    }

    async fn team(&self, team: TeamId, call: &CallContext) -> Result<Team, ApiError> {
        let keep =
            |evidence: &mut Evidence, seen: Observation<&Team>| record_list(evidence, Endpoint::Team, seen.discard());
        self.observe(call, self.inner.team(team, call), keep).await
    }

    async fn members(
        &self,
        team: TeamId,
        from: Cursor,
        enough: usize,
        call: &CallContext,
    ) -> Result<Batch<TeamMember>, ApiError> {
        self.observe(call, self.inner.members(team, from, enough, call), |evidence, seen| {
            record_list(evidence, Endpoint::Members, seen.discard());
        })
        .await
    }

    async fn member(&self, team: TeamId, user: UserId, call: &CallContext) -> Result<TeamMember, ApiError> {
        self.observe(call, self.inner.member(team, user, call), |evidence, seen| {
            record_list(evidence, Endpoint::Member, seen.discard());
        })
        .await
    }

    async fn add_member(
        &self,
        team: TeamId,
        user: UserId,
        role: Role,
        call: &CallContext,
    ) -> Result<Option<TeamMember>, ApiError> {
        self.observe(call, self.inner.add_member(team, user, role, call), |_, _| {})
            .await
    }

    async fn change_role(
        &self,
        team: TeamId,
        user: UserId,
        role: Role,
        call: &CallContext,
    ) -> Result<Option<TeamMember>, ApiError> {
        self.observe(call, self.inner.change_role(team, user, role, call), |_, _| {})
            .await
    }

    async fn remove_member(&self, team: TeamId, user: UserId, call: &CallContext) -> Result<(), ApiError> {
        self.observe(call, self.inner.remove_member(team, user, call), |_, _| {})
            .await
    }

    async fn revoke_token(&self, call: &CallContext) -> Result<(), ApiError> {
        // The reads that follow show its effect.
        self.inner.revoke_token(call).await
    }
}
