//! The reads that decide a write. They join no other read and come from no memory; that we wrote the pair a moment ago is
//! remembered only in order to read again.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Pair;
use super::execute::Work;
use crate::governance::{Governance, GovernanceError};
use crate::providers::buildkite::{ApiError, ApiErrorKind, CallContext, Endpoint, ListedRole, Role, TeamMember};

impl Work<'_> {
    /// The role held now. What we ourselves wrote a moment ago is given time to show before it counts as undone.
    pub(crate) async fn deciding_read(&mut self) -> Result<Option<Role>, GovernanceError> {
        let mut held = self.held().await?;
        if let Some(own) = self.access.provisioning.turns.recent(self.pair) {
            for pause in &self.access.settings.patience.pauses {
                let left = own.until.saturating_duration_since(Instant::now());
                if held == own.left || left.is_zero() {
                    break;
                }
                self.pause((*pause).min(left)).await?;
                held = self.held().await?;
            }
        }
        self.record.saw(held);
        Ok(held)
    }

    /// Reads until it shows what is waited for, or the pauses are used up; what was read last.
    pub(crate) async fn read_until(
        &mut self,
        shows: impl Fn(Option<Role>) -> bool,
        pauses: &[Duration],
    ) -> Result<Option<Role>, GovernanceError> {
        let mut held = self.held().await?;
        for pause in pauses {
            if shows(held) {
                break;
            }
            self.pause(*pause).await?;
            held = self.held().await?;
        }
        self.record.saw(held);
        Ok(held)
    }

    /// One read of the member; given up where the caller is gone and no write was begun.
    pub(crate) async fn held(&self) -> Result<Option<Role>, GovernanceError> {
        self.access.role_held(self.pair, &self.call).await
    }

    async fn pause(&self, time: Duration) -> Result<(), GovernanceError> {
        tokio::select! {
            () = self.call.cancelled() => Err(GovernanceError::Abandoned),
            () = sleep(time) => Ok(()),
        }
    }
}

impl Governance {
    /// The role that the user holds in the team now. Given up where the call is.
    pub(crate) async fn role_held(&self, pair: Pair, call: &CallContext) -> Result<Option<Role>, GovernanceError> {
        let Pair { team, user } = pair;
        let member = tokio::select! {
            biased;
            () = call.cancelled() => return Err(GovernanceError::Abandoned),
            member = self.upstream.member(team, user, call) => member,
        };
        let unexpected = |what| {
            Err(GovernanceError::Unexpected {
                call: Endpoint::Member,
                what,
            })
        };
        match member {
            Ok(member) if member.user_id != user => unexpected("the record of another person came".to_owned()),
            Ok(TeamMember {
                role: ListedRole::Known(role),
                ..
            }) => Ok(Some(role)),
            Ok(TeamMember {
                role: ListedRole::Unknown(role),
                ..
            }) => unexpected(format!(
                "the person holds the role `{role}`, which is unknown here and is left alone"
            )),
            Err(ApiError {
                kind: ApiErrorKind::NotFound,
                ..
            }) => Ok(None),
            Err(error) => Err(self.explain(error, call).await),
        }
    }
}
