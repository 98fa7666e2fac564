//! The probes: what is asked where evidence is missing or too old. Six requests at most, one asking at a time.

use std::time::Duration;

use tokio::time::Instant;

use super::evidence::{Evidence, Observation};
use crate::governance::Governance;
use crate::providers::buildkite::pagination::Cursor;
use crate::providers::buildkite::{ApiError, ApiErrorKind, CallContext, Lane};

/// Which probes are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProbeSet {
    /// Token, owner, organization and role: four requests at most.
    CredentialStatus,
    /// The lists as well: six at most.
    Everything,
}

/// The age from which evidence is requested again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MaxAge {
    /// Of an answer that was in order.
    pub(crate) success: Duration,
    /// Of one that was not: trouble that passed should not outlive itself.
    pub(crate) failure: Duration,
}

impl MaxAge {
    fn is_exceeded_by<T>(self, seen: Option<&Observation<T>>) -> bool {
        seen.is_none_or(|seen| {
            let age = if seen.outcome.is_ok() {
                self.success
            } else {
                self.failure
            };
            seen.since.elapsed() >= age
        })
    }
}

/// What was seen, again: the outcome that stands as long as nobody asks.
fn last_outcome<T>(seen: Option<&Observation<T>>) -> Result<(), ApiError> {
    seen.and_then(Observation::error).cloned().map_or(Ok(()), Err)
}

impl Governance {
    /// Asks for what is missing or too old: the token first, since without it nothing else can be asked. Waits for whoever
    /// asks already, whose answers are as good.
    ///
    /// # Errors
    /// The first call that failed and that everything after it depends on.
    pub(crate) async fn probe(&self, probes: ProbeSet, age: MaxAge, call: &CallContext) -> Result<(), ApiError> {
        let _one_at_a_time = self.probe_lock.lock().await;
        let seen = self.recorder.evidence();
        self.probe_token(&seen, age, call).await?;
        self.probe_dependents(&seen, probes, age, call).await
    }

    /// The same for everything, by the connector's own patience: half of it is for the token, on which all else waits.
    pub(crate) async fn probe_for_health(&self, age: MaxAge, patience: Duration) -> Result<(), ApiError> {
        let _one_at_a_time = self.probe_lock.lock().await;
        let begun = Instant::now();
        let patient = |time| CallContext::new(Lane::Interactive).with_probe_timeout(begun + time);
        let seen = self.recorder.evidence();
        self.probe_token(&seen, age, &patient(patience / 2)).await?;
        self.probe_dependents(&seen, ProbeSet::Everything, age, &patient(patience))
            .await
    }

    async fn probe_dependents(
        &self,
        seen: &Evidence,
        probes: ProbeSet,
        age: MaxAge,
        call: &CallContext,
    ) -> Result<(), ApiError> {
        let organization = async {
            let organization = self.probe_organization(seen, age, call).await;
            // A scope that is missing for one says nothing about the lists, and each is told on its own.
            let in_order = organization
                .as_ref()
                .map_or_else(|error| error.kind == ApiErrorKind::Forbidden, |()| true);
            if probes == ProbeSet::Everything && in_order && self.recorder.evidence().rejected.is_none() {
                tokio::join!(self.probe_members(seen, age, call), self.probe_teams(seen, age, call));
            }
            organization
        };
        let (organization, owner) = tokio::join!(organization, self.probe_owner(seen, age, call));
        organization.and(owner)
    }

    async fn probe_token(&self, seen: &Evidence, age: MaxAge, call: &CallContext) -> Result<(), ApiError> {
        let is_due = match &seen.rejected {
            Some(rejected) => age.is_exceeded_by(Some(rejected)),
            None => age.is_exceeded_by(seen.token.as_ref()),
        };
        if is_due {
            return self.upstream.access_token(call).await.map(|_| ());
        }
        last_outcome(seen.rejected.as_ref()).and(last_outcome(seen.token.as_ref()))
    }

    /// Where the organization is not found, which ones the token reaches is asked instead of its lists.
    async fn probe_organization(&self, seen: &Evidence, age: MaxAge, call: &CallContext) -> Result<(), ApiError> {
        if !age.is_exceeded_by(seen.organization.as_ref()) {
            return last_outcome(seen.organization.as_ref());
        }
        let outcome = self.upstream.organization(call).await.map(|_| ());
        if let Err(ApiError {
            kind: ApiErrorKind::NotFound,
            ..
        }) = &outcome
        {
            // Told by what is kept of it: it only makes the sentence about the organization say more.
            let _ = self.upstream.organizations(call).await;
        }
        outcome
    }

    /// That the scopes do not let the owner be known is no failure.
    async fn probe_owner(&self, seen: &Evidence, age: MaxAge, call: &CallContext) -> Result<(), ApiError> {
        if age.is_exceeded_by(seen.user.as_ref()) {
            tolerate_hidden(self.upstream.user(call).await.map(|_| ()))?;
        } else {
            tolerate_hidden(last_outcome(seen.user.as_ref()))?;
        }
        let owner = self.recorder.evidence().user.and_then(|seen| seen.outcome.ok());
        match owner {
            Some(owner) if age.is_exceeded_by(seen.owner_role.as_ref()) => {
                tolerate_hidden(self.upstream.person(owner.id, call).await.map(|_| ()))
            }
            Some(_) => tolerate_hidden(last_outcome(seen.owner_role.as_ref())),
            None => Ok(()),
        }
    }

    /// One window is enough to know that a list can be read. What failed is told by what is kept of it.
    async fn probe_members(&self, seen: &Evidence, age: MaxAge, call: &CallContext) {
        if age.is_exceeded_by(seen.people.as_ref()) {
            let _ = self.upstream.people(Cursor::Start, 1, call).await;
        }
    }

    async fn probe_teams(&self, seen: &Evidence, age: MaxAge, call: &CallContext) {
        if age.is_exceeded_by(seen.teams.as_ref()) {
            let _ = self.upstream.teams(Cursor::Start, 1, call).await;
        }
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
