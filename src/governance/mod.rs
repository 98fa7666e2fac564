//! Governance in plain Rust: who can hold what, what is listed, what a grant or a revoke does, and when a response is believed.
//!
//! This module knows neither the wire nor a provider. It is given a [`provider::Provider`], and [`crate::grpc::services`] and
//! [`crate::export`] call it. Its rule above all others: trouble is never reported as absence. Every listing is complete or an
//! error, an empty one is confirmed, and "not found" is said only of what was proven absent.

pub mod call;
mod directory;
mod error;
pub mod health;
pub mod model;
pub mod provider;
pub mod provisioning;
pub mod rate_limit;
pub mod sync;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

pub use call::{CallContext, Lane};
pub use error::GovernanceError;
pub use sync::{Listings, Page, PageTokenError};

use directory::Directory;
use health::{ChangeHealth, Health, HealthSettings};
use provider::Provider;
use provisioning::{AuditSink, MaintainerRevoke, Protected, Provisioning, ProvisioningSettings, WriteTimeouts};
use rate_limit::BudgetState;

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

/// The governance of one organization: its lists, its changes, and its health.
#[derive(Debug)]
pub struct Governance {
    provider: Arc<dyn Provider>,
    settings: GovernanceSettings,
    listings: Arc<Listings>,
    provisioning: Arc<Provisioning>,
    health: Health,
}

impl Governance {
    /// Governs what `provider` has. Changes are recorded in the audit file of the settings, if any.
    #[must_use]
    pub fn new(provider: Arc<dyn Provider>, settings: GovernanceSettings) -> Self {
        let sink = settings.audit_file.clone().map(provisioning::file_sink);
        Self::with_sink(provider, settings, sink)
    }

    /// Governs what `provider` has, and records changes in `sink` in place of the audit file.
    #[must_use]
    pub fn with_sink(
        provider: Arc<dyn Provider>,
        settings: GovernanceSettings,
        sink: Option<Arc<dyn AuditSink>>,
    ) -> Self {
        let source = provider.health();
        let directory = Arc::new(Directory::new(settings.provisioning));
        let listings = Listings::new(Arc::clone(&provider), settings.read_ahead, Arc::clone(&directory));
        let listings = Arc::new(listings);
        let provisioning = Provisioning::new(
            Arc::clone(&provider),
            Arc::clone(&listings),
            directory,
            ProvisioningSettings::from(&settings),
            sink,
            source.notifier(),
        );
        let provisioning = Arc::new(provisioning);
        let changes = Arc::clone(&provisioning) as Arc<dyn ChangeHealth>;
        Self {
            health: Health::new(source, settings.health.clone(), changes),
            provider,
            settings,
            listings,
            provisioning,
        }
    }

    /// The organization's name.
    #[must_use]
    pub fn organization(&self) -> &str {
        self.provider.organization()
    }

    /// Its lists.
    #[must_use]
    pub fn listings(&self) -> &Listings {
        &self.listings
    }

    /// Its changes.
    #[must_use]
    pub fn provisioning(&self) -> &Arc<Provisioning> {
        &self.provisioning
    }

    /// Its health.
    #[must_use]
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// The state of the request budget.
    #[must_use]
    pub fn budget(&self) -> BudgetState {
        self.provider.budget()
    }

    /// When the last of `requests` requests of a lane can be expected to be sent; `None` if no limit delays them.
    #[must_use]
    pub fn forecast(&self, lane: Lane, requests: u32) -> Option<Instant> {
        self.provider.forecast(lane, requests)
    }

    /// What the operator decided.
    #[must_use]
    pub fn settings(&self) -> &GovernanceSettings {
        &self.settings
    }
}

impl From<&GovernanceSettings> for ProvisioningSettings {
    fn from(settings: &GovernanceSettings) -> Self {
        Self {
            enabled: settings.provisioning,
            maintainer_revoke: settings.maintainer_revoke,
            protected: settings.protected.clone(),
            write_timeouts: settings.write_timeouts.clone(),
            directory_max_age: settings.directory_max_age,
            health_max_age: settings.health.max_age,
        }
    }
}
