//! The reads that decide a write. They are neither coalesced nor cached. A recent write of this process is remembered only in order
//! to repeat a read that does not show it yet.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::execute::Operation;
use crate::governance::model::{Level, Membership};
use crate::governance::provider::{Assignable, FailureClass, ResourceType};
use crate::governance::{CallContext, GovernanceError};

impl Operation<'_> {
    /// The level that is held now. A recent write of this process gets time to become visible before it counts as undone.
    pub(crate) async fn read_current_level(&mut self) -> Result<Option<&'static Level>, GovernanceError> {
        let mut current = self.fetch_level().await?;
        if let Some(own) = self.provisioning.memberships.recent_writes.get(self.membership) {
            for delay in &self.timeouts().read_back_delays {
                let left = own.valid_until.saturating_duration_since(Instant::now());
                if current == own.resulting_level || left.is_zero() {
                    break;
                }
                self.wait((*delay).min(left)).await?;
                current = self.fetch_level().await?;
            }
        }
        self.record.observe_level(current);
        Ok(current)
    }

    /// Reads until `shows` accepts the level or the delays are used up. Returns the level that was read last.
    pub(crate) async fn poll_level(
        &mut self,
        shows: impl Fn(Option<&'static Level>) -> bool,
        delays: &[Duration],
    ) -> Result<Option<&'static Level>, GovernanceError> {
        let mut current = self.fetch_level().await?;
        for delay in delays {
            if shows(current) {
                break;
            }
            self.wait(*delay).await?;
            current = self.fetch_level().await?;
        }
        self.record.observe_level(current);
        Ok(current)
    }

    async fn fetch_level(&self) -> Result<Option<&'static Level>, GovernanceError> {
        read_level(self.resources, self.levels, self.membership, &self.call).await
    }

    async fn wait(&self, time: Duration) -> Result<(), GovernanceError> {
        tokio::select! {
            () = self.call.cancelled() => Err(GovernanceError::Abandoned),
            () = sleep(time) => Ok(()),
        }
    }
}

/// Reads the level that the principal holds, once; abandoned if the call is cancelled.
pub(crate) async fn read_level(
    resources: &dyn ResourceType,
    levels: &dyn Assignable,
    membership: Membership,
    call: &CallContext,
) -> Result<Option<&'static Level>, GovernanceError> {
    let read = tokio::select! {
        biased;
        () = call.cancelled() => return Err(GovernanceError::Abandoned),
        read = levels.read_level(membership, call) => read,
    };
    match read {
        Ok(held) => Ok(held),
        Err(failure) => {
            let subject = (failure.class == FailureClass::NotFound).then_some(membership.resource.id);
            Err(resources.explain(failure, subject, call).await)
        }
    }
}
