//! The reads that decide a write. They join no other read and come from no memory; that we wrote the pair a moment ago is
//! remembered only in order to read again.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::super::AccessError;
use super::carry_out::Work;
use crate::buildkite::{ApiError, Endpoint, ListedRole, Role, TeamMember, Trouble};

impl Work<'_> {
    /// The role held now. What we ourselves wrote a moment ago is given time to show before it counts as undone.
    pub(super) async fn deciding_read(&mut self) -> Result<Option<Role>, AccessError> {
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
    pub(super) async fn read_until(
        &mut self,
        shows: impl Fn(Option<Role>) -> bool,
        pauses: &[Duration],
    ) -> Result<Option<Role>, AccessError> {
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
    pub(super) async fn held(&self) -> Result<Option<Role>, AccessError> {
        let (team, user) = (self.pair.team, self.pair.user);
        let member = tokio::select! {
            biased;
            () = self.call.given_up() => return Err(AccessError::Abandoned),
            member = self.access.upstream.member(team, user, &self.call) => member,
        };
        let unexpected = |what| {
            Err(AccessError::Unexpected {
                call: Endpoint::Member(team, user),
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
                trouble: Trouble::NotFound,
                ..
            }) => Ok(None),
            Err(error) => Err(self.access.explain(error, &self.call).await),
        }
    }

    async fn pause(&self, time: Duration) -> Result<(), AccessError> {
        tokio::select! {
            () = self.call.given_up() => Err(AccessError::Abandoned),
            () = sleep(time) => Ok(()),
        }
    }
}
