//! The part of health that provisioning knows.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;

use crate::governance::provisioning::{ProtectedNames, Provisioning};

/// The part of health that provisioning knows.
#[async_trait]
pub(crate) trait ChangeHealth: Debug + Send + Sync {
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
impl ChangeHealth for Provisioning {
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
