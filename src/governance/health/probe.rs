//! The probes: what is asked where evidence is missing or too old. Six requests at most, one asking at a time.

use std::time::Duration;

use tokio::time::Instant;

use super::evidence::{Evidence, Seen};
use crate::governance::Governance;
use crate::providers::buildkite::pagination::Cursor;
use crate::providers::buildkite::{ApiError, ApiErrorKind, CallContext, Lane};

/// How much is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Token, owner, organization and role: four requests at most.
    CredentialStatus,
    /// The lists as well: six at most.
    Everything,
}

/// From which age on evidence is asked for again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Age {
    /// Of an answer that was in order.
    pub(crate) good: Duration,
    /// Of one that was not: trouble that passed should not outlive itself.
    pub(crate) bad: Duration,
}

impl Age {
    fn is_past<T>(self, seen: Option<&Seen<T>>) -> bool {
        seen.is_none_or(|seen| {
            let age = if seen.outcome.is_ok() { self.good } else { self.bad };
            seen.since.elapsed() >= age
        })
    }
}

/// What was seen, again: the outcome that stands as long as nobody asks.
fn kept<T>(seen: Option<&Seen<T>>) -> Result<(), ApiError> {
    seen.and_then(Seen::error).cloned().map_or(Ok(()), Err)
}

impl Governance {
    /// Asks for what is missing or too old: the token first, since without it nothing else can be asked. Waits for whoever
    /// asks already, whose answers are as good.
    ///
    /// # Errors
    /// The first call that failed and that everything after it depends on.
    pub(crate) async fn look(&self, depth: Depth, age: Age, call: &CallContext) -> Result<(), ApiError> {
        let _one_at_a_time = self.probing.lock().await;
        let seen = self.observed.evidence();
        self.look_at_token(&seen, age, call).await?;
        self.look_at_the_rest(&seen, depth, age, call).await
    }

    /// The same for everything, by the connector's own patience: half of it is for the token, on which all else waits.
    pub(crate) async fn look_for_health(&self, age: Age, patience: Duration) -> Result<(), ApiError> {
        let _one_at_a_time = self.probing.lock().await;
        let begun = Instant::now();
        let patient = |time| CallContext::new(Lane::Interactive).with_probe_timeout(begun + time);
        let seen = self.observed.evidence();
        self.look_at_token(&seen, age, &patient(patience / 2)).await?;
        self.look_at_the_rest(&seen, Depth::Everything, age, &patient(patience))
            .await
    }

    async fn look_at_the_rest(
        &self,
        seen: &Evidence,
        depth: Depth,
        age: Age,
        call: &CallContext,
    ) -> Result<(), ApiError> {
        let organization = async {
            let organization = self.look_at_organization(seen, age, call).await;
            // A scope that is missing for one says nothing about the lists, and each is told on its own.
            let in_order = organization
                .as_ref()
                .map_or_else(|error| error.kind == ApiErrorKind::Forbidden, |()| true);
            if depth == Depth::Everything && in_order && self.observed.evidence().rejected.is_none() {
                tokio::join!(
                    self.look_at_people(seen, age, call),
                    self.look_at_teams(seen, age, call)
                );
            }
            organization
        };
        let (organization, owner) = tokio::join!(organization, self.look_at_owner(seen, age, call));
        organization.and(owner)
    }

    async fn look_at_token(&self, seen: &Evidence, age: Age, call: &CallContext) -> Result<(), ApiError> {
        let is_due = match &seen.rejected {
            Some(rejected) => age.is_past(Some(rejected)),
            None => age.is_past(seen.token.as_ref()),
        };
        if is_due {
            return self.upstream.access_token(call).await.map(|_| ());
        }
        kept(seen.rejected.as_ref()).and(kept(seen.token.as_ref()))
    }

    /// Where the organization is not found, which ones the token reaches is asked instead of its lists.
    async fn look_at_organization(&self, seen: &Evidence, age: Age, call: &CallContext) -> Result<(), ApiError> {
        if !age.is_past(seen.organization.as_ref()) {
            return kept(seen.organization.as_ref());
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
    async fn look_at_owner(&self, seen: &Evidence, age: Age, call: &CallContext) -> Result<(), ApiError> {
        if age.is_past(seen.user.as_ref()) {
            untold(self.upstream.user(call).await.map(|_| ()))?;
        } else {
            untold(kept(seen.user.as_ref()))?;
        }
        let owner = self.observed.evidence().user.and_then(|seen| seen.outcome.ok());
        match owner {
            Some(owner) if age.is_past(seen.owner_role.as_ref()) => {
                untold(self.upstream.person(owner.id, call).await.map(|_| ()))
            }
            Some(_) => untold(kept(seen.owner_role.as_ref())),
            None => Ok(()),
        }
    }

    /// One window is enough to know that a list can be read. What failed is told by what is kept of it.
    async fn look_at_people(&self, seen: &Evidence, age: Age, call: &CallContext) {
        if age.is_past(seen.people.as_ref()) {
            let _ = self.upstream.people(Cursor::Start, 1, call).await;
        }
    }

    async fn look_at_teams(&self, seen: &Evidence, age: Age, call: &CallContext) {
        if age.is_past(seen.teams.as_ref()) {
            let _ = self.upstream.teams(Cursor::Start, 1, call).await;
        }
    }
}

fn untold(outcome: Result<(), ApiError>) -> Result<(), ApiError> {
    match outcome {
        Err(ApiError {
            kind: ApiErrorKind::Forbidden | ApiErrorKind::NotFound,
            ..
        }) => Ok(()),
        other => other,
    }
}
