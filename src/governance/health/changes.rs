//! The part of health that provisioning knows, and health as [`Governance`] offers it.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::Report;
use crate::governance::provisioning::ProtectedNames;
use crate::governance::{Governance, GovernanceError};

/// The part of health that provisioning knows.
#[async_trait]
pub(crate) trait ChangeHealth: Debug + Send + Sync {
    /// Whether grants and revokes are carried out.
    fn is_enabled(&self) -> bool;

    /// Why changes cannot be recorded, if they cannot.
    fn audit_problem(&self) -> Option<String>;

    /// The status of the protected names, if there are any.
    fn name_status(&self) -> Option<ProtectedNames>;

    /// Checks whether changes can be recorded again, if they could not.
    async fn recheck(&self);

    /// Looks the protected names up, if what is known of them is too old.
    async fn look_up_names(self: Arc<Self>);
}

#[async_trait]
impl ChangeHealth for Governance {
    fn is_enabled(&self) -> bool {
        self.settings.provisioning
    }

    fn audit_problem(&self) -> Option<String> {
        self.audit_error()
    }

    fn name_status(&self) -> Option<ProtectedNames> {
        self.protected_names()
    }

    async fn recheck(&self) {
        self.recheck_audit().await;
    }

    async fn look_up_names(self: Arc<Self>) {
        self.refresh_protected_names().await;
    }
}

impl Governance {
    /// Returns a report from the evidence so far; sends no request.
    #[must_use]
    pub fn latest_health(&self) -> Report {
        self.health.latest(self)
    }

    /// Returns a report from evidence no older than `age` (minimum 5 s). Concurrent callers share one probe run, which
    /// continues if a caller times out at `until`; that caller gets the latest known report.
    pub async fn health(self: &Arc<Self>, age: Duration, until: Option<Instant>) -> Report {
        self.health.check(age, until, &self.change_health()).await
    }

    /// Resolves after the next change of the evidence. Supports one listener at a time.
    pub async fn health_changed(&self) {
        self.health.changed().await;
    }

    /// Decides whether what is required works: from evidence within the maximum age if it does, from evidence younger than
    /// this call if it does not. A failure that may pass is retried for a while, or until the deadline of the caller.
    ///
    /// # Errors
    /// The error that a call would end with because of the first check that fails, or else of the first that could not be made.
    /// `Unavailable` if a check failed before this call and can be probed again only after the deadline of the caller.
    pub async fn validate(self: &Arc<Self>, deadline: Option<Instant>) -> Result<(), GovernanceError> {
        self.health.validate(deadline, &self.change_health()).await
    }

    fn change_health(self: &Arc<Self>) -> Arc<dyn ChangeHealth> {
        Arc::clone(self) as Arc<dyn ChangeHealth>
    }
}
