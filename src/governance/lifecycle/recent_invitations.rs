//! Remembers the invitations that this process sent or may have sent. The list of invitations may show one late, and an invitation
//! that is not shown yet must not be sent a second time.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Until when the list may not show an invitation, by the address in lower case.
#[derive(Debug, Default)]
pub(super) struct RecentInvitations(Mutex<HashMap<String, Instant>>);

impl RecentInvitations {
    /// Remembers an invitation that was sent or may have been sent, for `time`.
    pub(super) fn record(&self, email: &str, time: Duration) {
        let now = Instant::now();
        let mut sent = self.lock();
        sent.retain(|_, until| *until > now);
        sent.insert(email.to_ascii_lowercase(), now + time);
    }

    /// Forgets an invitation, because it was revoked.
    pub(super) fn forget(&self, email: &str) {
        self.lock().remove(&email.to_ascii_lowercase());
    }

    /// Until when the list may not show an invitation to this address; `None` if none was sent recently.
    pub(super) fn hidden_until(&self, email: &str) -> Option<Instant> {
        let until = self.lock().get(&email.to_ascii_lowercase()).copied();
        until.filter(|until| *until > Instant::now())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_invitation_is_remembered_for_the_time_it_may_be_hidden() {
        let invitations = RecentInvitations::default();
        invitations.record("Ada@example.com", Duration::from_secs(10));
        assert!(invitations.hidden_until("ada@EXAMPLE.com").is_some());
        assert!(invitations.hidden_until("bob@example.com").is_none());
        tokio::time::advance(Duration::from_secs(10)).await;
        assert!(invitations.hidden_until("ada@example.com").is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_revoked_invitation_is_not_waited_for() {
        let invitations = RecentInvitations::default();
        invitations.record("ada@example.com", Duration::from_secs(10));
        invitations.forget("ADA@example.com");
        assert!(invitations.hidden_until("ada@example.com").is_none());
    }
}
