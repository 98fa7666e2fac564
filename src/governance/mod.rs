//! The governance model, in plain Rust: who can hold what, what is listed, what a grant or a revoke does, and what may be
//! believed of an answer.
//!
//! This module knows nothing of gRPC: [`crate::grpc::services`] translates. It talks to Buildkite through one trait,
//! [`Upstream`]. Its rule above all others: trouble is never reported as absence. Every listing is complete or an error, an
//! empty one is vouched for, and "not found" is said only of what was proven absent ([`absence`]).

pub mod absence;
mod api_errors;
pub mod credential_status;
mod error;
pub mod health;
pub mod model;
pub mod provisioning;
pub mod sync;
mod upstream;
mod visibility;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

pub use credential_status::{CredentialStatus, OwnerRole};
pub use error::GovernanceError;
pub use model::catalog::{EntitlementTexts, ResourceKind};
pub use model::ids::{EntitlementId, GrantId, Principal, ResourceId};
pub use sync::listing::{Page, TeamGrant};
pub use sync::page_token::PageTokenError;
pub use upstream::Upstream;

use crate::providers::buildkite::Lane;
use crate::providers::buildkite::budget::BudgetState;
use health::{EvidenceRecorder, HealthSettings};
use provisioning::{AuditSink, MaintainerRevoke, Protected, Provisioning, WriteTimeouts};
use sync::empty_lists::ListHistory;
use sync::prefetch::Prefetch;
use sync::progress::ProgressLog;
use sync::unlisted_users::UnlistedUsers;
use visibility::RoleAfterLists;

/// What to do where the token's owner is shown only part of the teams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PartialVisibility {
    /// Team listings fail: what is not shown would look revoked.
    #[default]
    Refuse,
    /// The teams that are shown are all that is governed.
    Allow,
}

/// What an operator decides about governance.
#[derive(Debug, Clone)]
pub struct GovernanceSettings {
    /// Whether grants and revokes are carried out.
    pub provisioning: bool,
    /// What becomes of a maintainer whose role is revoked.
    pub maintainer_revoke: MaintainerRevoke,
    /// Users and teams that no grant or revoke changes.
    pub protected: Protected,
    /// Where changes are recorded beside the log.
    pub audit_file: Option<PathBuf>,
    /// How long writes are given.
    pub write_timeouts: WriteTimeouts,
    /// How old the lists may be in which e-mails, and names that are protected, are looked up.
    pub directory_max_age: Duration,
    /// What a partial view of the teams means.
    pub partial_visibility: PartialVisibility,
    /// How scope health is kept.
    pub health: HealthSettings,
    /// Requests that read ahead at once within a sync; zero for none.
    pub read_ahead: usize,
}

impl Default for GovernanceSettings {
    fn default() -> Self {
        Self {
            provisioning: false,
            maintainer_revoke: MaintainerRevoke::default(),
            protected: Protected::default(),
            audit_file: None,
            write_timeouts: WriteTimeouts::default(),
            directory_max_age: Duration::from_secs(600),
            partial_visibility: PartialVisibility::default(),
            health: HealthSettings::default(),
            read_ahead: 16,
        }
    }
}

/// Reads and changes the team memberships of an organization.
#[derive(Debug)]
pub struct Governance {
    /// Buildkite, by way of `observed`.
    upstream: Arc<dyn Upstream>,
    recorder: Arc<EvidenceRecorder>,
    settings: GovernanceSettings,
    /// Held during a probe run, so that concurrent callers share one.
    probe_lock: Mutex<()>,
    role_after_lists: RoleAfterLists,
    unlisted_users: UnlistedUsers,
    list_history: ListHistory,
    progress: ProgressLog,
    prefetch: Prefetch,
    provisioning: Provisioning,
}

impl Governance {
    /// Governs the organization that `upstream` reaches.
    #[must_use]
    pub fn new(upstream: Arc<dyn Upstream>, settings: GovernanceSettings) -> Self {
        let sink = settings.audit_file.clone().map(provisioning::file_sink);
        Self::recording(upstream, settings, sink)
    }

    /// Governs the organization that `upstream` reaches, and records changes in `sink` in place of the audit file.
    #[must_use]
    pub fn with_sink(upstream: Arc<dyn Upstream>, settings: GovernanceSettings, sink: Arc<dyn AuditSink>) -> Self {
        Self::recording(upstream, settings, Some(sink))
    }

    fn recording(upstream: Arc<dyn Upstream>, settings: GovernanceSettings, sink: Option<Arc<dyn AuditSink>>) -> Self {
        let recorder = Arc::new(EvidenceRecorder::new(upstream));
        let provisioning = Provisioning::new(sink, settings.write_timeouts.append, recorder.notifier());
        let prefetch = Prefetch::new(Arc::clone(&recorder) as Arc<dyn Upstream>, settings.read_ahead);
        Self {
            upstream: Arc::clone(&recorder) as Arc<dyn Upstream>,
            recorder,
            settings,
            probe_lock: Mutex::default(),
            role_after_lists: RoleAfterLists::default(),
            unlisted_users: UnlistedUsers::default(),
            list_history: ListHistory::default(),
            progress: ProgressLog::default(),
            prefetch,
            provisioning,
        }
    }

    /// The organization's slug.
    #[must_use]
    pub fn organization(&self) -> &str {
        self.upstream.organization_slug()
    }

    /// How the request budget stands.
    #[must_use]
    pub fn budget(&self) -> BudgetState {
        self.upstream.budget()
    }

    /// When the last of so many requests of a lane is likely to have its turn; none where no limit is in the way.
    #[must_use]
    pub fn forecast(&self, lane: Lane, requests: u32) -> Option<Instant> {
        self.upstream.forecast(lane, requests)
    }

    /// What the operator decided.
    #[must_use]
    pub fn settings(&self) -> &GovernanceSettings {
        &self.settings
    }
}
