//! Finds the person with an address: among the users first, then among the pending invitations. Addresses are compared without
//! regard to ASCII case.

use std::time::Duration;

use tokio::time::Instant;

use super::Lifecycle;
use crate::governance::directory::Freshness;
use crate::governance::model::{Resource, ResourceId};
use crate::governance::provider::{AccountManager, FailureClass};
use crate::governance::{CallContext, GovernanceError};

impl Lifecycle {
    /// The user with the address, found in the cached list of users and confirmed by their own record. A hit that is not confirmed
    /// is looked up in a new list.
    ///
    /// # Errors
    /// `AmbiguousPrincipal`, or the failure to read users.
    pub(super) async fn member(&self, email: &str, call: &CallContext) -> Result<Option<Resource>, GovernanceError> {
        let cached = Freshness::YoungerThan(self.settings.directory_max_age);
        let candidates = self.provisioning.users_with_email(email, cached, call).await?;
        if candidates.is_empty() {
            return Ok(None);
        }
        match self.confirmed(&candidates, email, call).await? {
            Some(member) => Ok(Some(member)),
            None => self.member_anew(email, call.begun(), call).await,
        }
    }

    /// The user with the address in a list that was read after `moment`.
    ///
    /// # Errors
    /// As for [`Self::member`].
    pub(super) async fn member_anew(
        &self,
        email: &str,
        moment: Instant,
        call: &CallContext,
    ) -> Result<Option<Resource>, GovernanceError> {
        let fresh = Freshness::ReadAfter(moment);
        let candidates = self.provisioning.users_with_email(email, fresh, call).await?;
        self.confirmed(&candidates, email, call).await
    }

    /// The candidate whose record has the address.
    async fn confirmed(
        &self,
        candidates: &[ResourceId],
        email: &str,
        call: &CallContext,
    ) -> Result<Option<Resource>, GovernanceError> {
        let mut confirmed = Vec::new();
        for candidate in candidates {
            let users = self.listings.resource_type(candidate.resource_type)?;
            match users.get(candidate.id, call).await {
                Ok(user) if has_address(&user, email) => confirmed.push(user),
                Ok(_) => {}
                Err(failure) if failure.class == FailureClass::NotFound => {}
                Err(failure) => return Err(users.explain(failure, None, call).await),
            }
        }
        if confirmed.len() > 1 {
            return Err(GovernanceError::AmbiguousPrincipal {
                email: email.to_owned(),
                users: confirmed.len(),
            });
        }
        Ok(confirmed.pop())
    }

    /// The pending invitations to the address, read now.
    ///
    /// # Errors
    /// The failure to read them.
    pub(super) async fn pending(
        &self,
        accounts: &dyn AccountManager,
        email: &str,
        call: &CallContext,
    ) -> Result<Vec<Resource>, GovernanceError> {
        let mut pending = accounts.pending(call).await?;
        pending.retain(|invitation| has_address(invitation, email));
        Ok(pending)
    }

    /// How much longer the list of invitations may not show an invitation of this process to the address.
    pub(super) fn hidden_for(&self, email: &str) -> Option<Duration> {
        let until = self.shared.recent_invitations.hidden_until(email)?;
        Some(until.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero())
    }
}

fn has_address(resource: &Resource, email: &str) -> bool {
    let handle = resource.handle.as_deref();
    handle.is_some_and(|handle| handle.eq_ignore_ascii_case(email))
}
