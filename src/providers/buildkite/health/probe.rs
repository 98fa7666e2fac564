//! The probes: requests for evidence that is missing or too old. One run at a time sends at most six requests, and one for each
//! scope with a probe that the settings require.

use std::time::Duration;

use futures::future::join_all;
use tokio::time::Instant;

use super::evidence::{Evidence, Observation};
use crate::governance::provider::MaxAge;
use crate::governance::{CallContext, Lane};
use crate::providers::buildkite::budget::Route;
use crate::providers::buildkite::pagination::Cursor;
use crate::providers::buildkite::{ApiError, ApiErrorKind, Buildkite, Client};

/// Which probes are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ProbeSet {
    /// Token, owner, organization and role: at most four requests.
    CredentialStatus,
    /// The lists and the scopes as well.
    Everything,
}

/// Whether an observation is missing or too old.
fn is_due<T>(seen: Option<&Observation<T>>, age: MaxAge) -> bool {
    seen.is_none_or(|seen| age.is_exceeded(seen.outcome.is_ok(), seen.since))
}

/// The outcome that was seen last, which stands until the next request.
fn last_outcome<T>(seen: Option<&Observation<T>>) -> Result<(), ApiError> {
    seen.and_then(Observation::error).cloned().map_or(Ok(()), Err)
}

impl Buildkite {
    /// Requests what is missing or too old about a credential: the token first, because every other request depends on it.
    /// Waits for a run in progress, whose responses serve this call as well.
    ///
    /// # Errors
    /// The first failure that the remaining probes depend on.
    pub(crate) async fn probe(&self, position: usize, age: MaxAge, call: &CallContext) -> Result<(), ApiError> {
        let _one_at_a_time = self.probe_lock.lock().await;
        let target = self.target(position);
        target.token(age, call).await?;
        self.probe_dependents(&target, ProbeSet::CredentialStatus, age, call)
            .await
    }

    /// Requests everything within `timeout`, with each credential what is about that one. Half of it is for the tokens,
    /// because every other request waits for them.
    ///
    /// # Errors
    /// The first failure of the credential that reads; health reports the others.
    pub(crate) async fn probe_for_health(&self, age: MaxAge, timeout: Duration) -> Result<(), ApiError> {
        let _one_at_a_time = self.probe_lock.lock().await;
        let begun = Instant::now();
        let call = |time| CallContext::new(Lane::Interactive).with_probe_timeout(begun + time);
        let targets: Vec<Target> = (0..self.client.pool().members().len())
            .map(|of| self.target(of))
            .collect();
        let token_call = call(timeout / 2);
        let tokens = join_all(targets.iter().map(|of| of.token(age, &token_call))).await;
        let reading = self.client.pool().first(Route::Read);
        let dependents = targets.iter().zip(tokens).enumerate().map(|(position, (of, token))| {
            let probes = if position == reading {
                ProbeSet::Everything
            } else {
                ProbeSet::CredentialStatus
            };
            let call = call(timeout);
            async move {
                token?;
                self.probe_dependents(of, probes, age, &call).await
            }
        });
        let outcomes = join_all(dependents).await;
        outcomes.into_iter().nth(reading).unwrap_or(Ok(()))
    }

    /// A credential, and what is known of it.
    fn target(&self, position: usize) -> Target {
        Target {
            client: self.client.as_credential(position),
            seen: self.recorder.evidence(position),
            position,
        }
    }

    async fn probe_dependents(
        &self,
        target: &Target,
        probes: ProbeSet,
        age: MaxAge,
        call: &CallContext,
    ) -> Result<(), ApiError> {
        let organization = async {
            let organization = target.organization(age, call).await;
            // A missing scope for the organization says nothing about the lists; each is probed and reported on its own.
            let in_order = organization
                .as_ref()
                .map_or_else(|error| error.kind == ApiErrorKind::Forbidden, |()| true);
            let evidence = self.recorder.evidence(target.position);
            if probes == ProbeSet::Everything && in_order && evidence.rejected.is_none() {
                let seen = &target.seen;
                tokio::join!(
                    self.probe_members(seen, age, call),
                    self.probe_teams(seen, age, call),
                    self.probe_scopes(target.position, seen, age, call)
                );
            }
            organization
        };
        let (organization, owner) = tokio::join!(organization, self.probe_owner(target, age, call));
        organization.and(owner)
    }

    /// An owner that the scopes hide is not a failure.
    async fn probe_owner(&self, target: &Target, age: MaxAge, call: &CallContext) -> Result<(), ApiError> {
        let Target { client, seen, position } = target;
        if is_due(seen.user.as_ref(), age) {
            tolerate_hidden(client.user(call).await.map(|_| ()))?;
        } else {
            tolerate_hidden(last_outcome(seen.user.as_ref()))?;
        }
        let owner = self
            .recorder
            .evidence(*position)
            .user
            .and_then(|seen| seen.outcome.ok());
        match owner {
            Some(owner) if is_due(seen.owner_role.as_ref(), age) => {
                tolerate_hidden(client.organization_member(owner.id, call).await.map(|_| ()))
            }
            Some(_) => tolerate_hidden(last_outcome(seen.owner_role.as_ref())),
            None => Ok(()),
        }
    }

    /// One window shows that a list can be read. The recorder keeps a failure.
    async fn probe_members(&self, seen: &Evidence, age: MaxAge, call: &CallContext) {
        if is_due(seen.people.as_ref(), age) {
            let _ = self.client.organization_members(Cursor::Start, 1, call).await;
        }
    }

    async fn probe_teams(&self, seen: &Evidence, age: MaxAge, call: &CallContext) {
        if is_due(seen.teams.as_ref(), age) {
            let _ = self.client.teams(Cursor::Start, 1, call).await;
        }
    }
}

/// A credential that is probed.
struct Target {
    /// Uses the credential for every request.
    client: Client,
    /// What was known of it before.
    seen: Evidence,
    position: usize,
}

impl Target {
    async fn token(&self, age: MaxAge, call: &CallContext) -> Result<(), ApiError> {
        let seen = &self.seen;
        let must_request = match &seen.rejected {
            Some(rejected) => is_due(Some(rejected), age),
            None => is_due(seen.token.as_ref(), age),
        };
        if must_request {
            return self.client.access_token(call).await.map(|_| ());
        }
        last_outcome(seen.rejected.as_ref()).and(last_outcome(seen.token.as_ref()))
    }

    /// If the organization is not found, the organizations that the token reaches are requested instead of its lists.
    async fn organization(&self, age: MaxAge, call: &CallContext) -> Result<(), ApiError> {
        let seen = &self.seen;
        if !is_due(seen.organization.as_ref(), age) {
            return last_outcome(seen.organization.as_ref());
        }
        let outcome = self.client.organization(call).await.map(|_| ());
        if let Err(ApiError {
            kind: ApiErrorKind::NotFound,
            ..
        }) = &outcome
        {
            // The recorder keeps the response; it only adds detail to the sentence about the organization.
            let _ = self.client.organizations(call).await;
        }
        outcome
    }
}

fn tolerate_hidden(outcome: Result<(), ApiError>) -> Result<(), ApiError> {
    match outcome {
        Err(ApiError {
            kind: ApiErrorKind::Forbidden | ApiErrorKind::NotFound,
            ..
        }) => Ok(()),
        other => other,
    }
}
