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
    records: Mutex<Records>,
    changed: Arc<Notify>,
}

/// The evidence so far.
#[derive(Debug, Default)]
struct Records {
    /// What is known of each credential, by its position.
    credentials: Vec<Evidence>,
    /// The lists and the scopes, which any credential may have served.
    lists: Evidence,
}

impl Records {
    /// What is known of a credential.
    fn credential(&mut self, position: usize) -> &mut Evidence {
        if self.credentials.len() <= position {
            self.credentials.resize_with(position + 1, Evidence::default);
        }
        &mut self.credentials[position]
    }
}

impl EvidenceRecorder {
    /// The evidence so far about the credential at a position, and about the lists.
    pub(crate) fn evidence(&self, position: usize) -> Evidence {
        let records = self.lock();
        let Evidence {
            people,
            teams,
            scopes,
            newest_build,
            ..
        } = records.lists.clone();
        Evidence {
            people,
            teams,
            scopes,
            newest_build,
            ..records.credentials.get(position).cloned().unwrap_or_default()
        }
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
        self.lock().lists.newest_build = build;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records an outcome that is evidence about a credential; `keep` stores what the checks need of it.
    fn record<T>(
        &self,
        credential: Option<usize>,
        outcome: Result<&T, &ApiError>,
        (begun, call): (Instant, &CallContext),
        keep: impl FnOnce(&mut Evidence, Observation<&T>),
    ) {
        if is_conclusive(outcome, call) {
            self.keep(credential, outcome, begun, |records, seen| {
                if let Some(position) = credential {
                    keep(records.credential(position), seen);
                }
            });
        }
    }

    /// Records the record of an organization member, and the role in it for each credential that the member owns.
    fn record_member(
        &self,
        credential: Option<usize>,
        user: UserId,
        outcome: Result<&OrganizationMember, &ApiError>,
        (begun, call): (Instant, &CallContext),
    ) {
        let owns = |evidence: &Evidence| {
            let owner = evidence.user.as_ref().and_then(Observation::value);
            owner.is_some_and(|owner| owner.id == user)
        };
        let is_owner = self.lock().credentials.iter().any(owns);
        // The role is read from the owner's own record: an absent or unreadable record means that the role is unknown.
        let hides_role = |error: &ApiError| {
            matches!(
                error.kind,
                ApiErrorKind::NotFound | ApiErrorKind::Rejected(_) | ApiErrorKind::Unexpected(_)
            )
        };
        if is_conclusive(outcome, call) || (is_owner && outcome.is_err_and(hides_role)) {
            self.keep(credential, outcome, begun, |records, seen| {
                let role = seen.map(owner_role);
                for evidence in records.credentials.iter_mut().filter(|evidence| owns(evidence)) {
                    evidence.owner_role = Some(role.clone());
                }
            });
        }
    }

    fn keep<T>(
        &self,
        credential: Option<usize>,
        outcome: Result<&T, &ApiError>,
        begun: Instant,
        keep: impl FnOnce(&mut Records, Observation<&T>),
    ) {
        let seen = || Observation {
            at: Timestamp::now(),
            since: Instant::now(),
            latency: begun.elapsed(),
            outcome: outcome.map_err(Clone::clone),
        };
        let mut records = self.lock();
        if let Some(position) = credential {
            records.credential(position).record_acceptance(&seen().discard(), begun);
        }
        keep(&mut records, seen());
        drop(records);
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
    fn observe(&self, credential: Option<usize>, call: &CallContext, begun: Instant, completed: Completed<'_>) {
        let of = (begun, call);
        match completed {
            Completed::AccessToken(outcome) => self.record(credential, outcome.as_ref(), of, |evidence, seen| {
                let is_rejected = matches!(&seen.outcome, Err(error) if error.kind.is_credential_rejected());
                if !is_rejected {
                    evidence.token = Some(seen.map(Clone::clone));
                }
            }),
            Completed::User(outcome) => self.record(credential, outcome.as_ref(), of, |evidence, seen| {
                evidence.user = Some(seen.map(Clone::clone));
            }),
            Completed::Organization(outcome) => self.record(credential, outcome.as_ref(), of, |evidence, seen| {
                evidence.organization = Some(seen.map(Clone::clone));
            }),
            Completed::Organizations(outcome) => self.record(credential, outcome.as_ref(), of, |evidence, seen| {
                evidence.reachable_organizations = Some(seen.map(|organizations| {
                    organizations
                        .iter()
                        .map(|organization| organization.slug.clone())
                        .collect()
                }));
            }),
            Completed::OrganizationMember(user, outcome) => self.record_member(credential, user, outcome.as_ref(), of),
            Completed::Other(endpoint, outcome) => {
                let outcome = outcome.map(|()| &());
                if is_conclusive(outcome, call) {
                    self.keep(credential, outcome, begun, |records, seen| {
                        record_list(&mut records.lists, endpoint, seen.discard());
                    });
                }
            }
        }
    }
}
