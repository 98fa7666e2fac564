//! The reads that decide a write. They join no other read and come from no memory; that we wrote the pair a moment ago is
//! remembered only in order to read again.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Membership;
use super::execute::Operation;
use crate::governance::{Governance, GovernanceError};
use crate::providers::buildkite::{ApiError, ApiErrorKind, CallContext, Endpoint, ListedRole, Role, TeamMember};

impl Operation<'_> {
    /// The role held now. What we ourselves wrote a moment ago is given time to show before it counts as undone.
    pub(crate) async fn read_current_role(&mut self) -> Result<Option<Role>, GovernanceError> {
        let mut current = self.fetch_role().await?;
        if let Some(own) = self.governance.provisioning.recent_writes.get(self.membership) {
            for delay in &self.governance.settings.write_timeouts.read_back_delays {
                let left = own.valid_until.saturating_duration_since(Instant::now());
                if current == own.resulting_role || left.is_zero() {
                    break;
                }
                self.wait((*delay).min(left)).await?;
                current = self.fetch_role().await?;
            }
        }
        self.record.observe_role(current);
        Ok(current)
    }

    /// Reads until it shows what is waited for, or the pauses are used up; what was read last.
    pub(crate) async fn poll_role(
        &mut self,
        shows: impl Fn(Option<Role>) -> bool,
        delays: &[Duration],
    ) -> Result<Option<Role>, GovernanceError> {
        let mut current = self.fetch_role().await?;
        for delay in delays {
            if shows(current) {
                break;
            }
            self.wait(*delay).await?;
            current = self.fetch_role().await?;
        }
        self.record.observe_role(current);
        Ok(current)
    }

    /// One read of the member; given up where the caller is gone and no write was begun.
    pub(crate) async fn fetch_role(&self) -> Result<Option<Role>, GovernanceError> {
        self.governance.role_held(self.membership, &self.call).await
    }

    async fn wait(&self, time: Duration) -> Result<(), GovernanceError> {
        tokio::select! {
            () = self.call.cancelled() => Err(GovernanceError::Abandoned),
            () = sleep(time) => Ok(()),
        }
    }
}

impl Governance {
    /// The role that the user holds in the team now. Given up where the call is.
    pub(crate) async fn role_held(
        &self,
        membership: Membership,
        call: &CallContext,
    ) -> Result<Option<Role>, GovernanceError> {
        let Membership { team, user } = membership;
        let member = tokio::select! {
            biased;
            () = call.cancelled() => return Err(GovernanceError::Abandoned),
            member = self.upstream.member(team, user, call) => member,
        };
        let unexpected = |what| {
            Err(GovernanceError::Unexpected {
                endpoint: Endpoint::Member,
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
            Err(error) => Err(self.call_error(error, call).await),
        }
    }
}
