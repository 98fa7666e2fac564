//! Governance in plain Rust: the resources and levels of an organization, their lists, and what a grant or a revoke does.
//!
//! This module knows neither the wire nor a provider. It owns the seam, [`provider`], which a provider implements;
//! [`crate::grpc::services`] and [`crate::export`] call it. Its first rule: a failure is never reported as absence. Every listing
//! is complete or an error, an empty list is confirmed, and "not found" is reported only for a resource that is proven absent.

pub mod actions;
pub mod call_context;
mod changes;
pub mod connections;
mod directory;
mod error;
pub mod health;
pub mod lifecycle;
pub mod model;
mod organization;
pub mod provider;
pub mod provisioning;
pub mod rate_limit;
pub mod sync;
mod weak_registry;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

pub use call_context::{CallContext, Lane};
pub use changes::{AllowedChanges, Change, UnknownChange};
pub use error::{GovernanceError, RefusedCredential};
pub use organization::OrganizationState;
pub use sync::{Listings, Page, PageTokenError};
pub(crate) use weak_registry::WeakRegistry;

use actions::Actions;
use connections::ConnectionLabel;
use directory::Directory;
use health::{ChangeHealth, ConfigurationStatus, Health, HealthSettings};
use lifecycle::{Lifecycle, LifecycleSettings};
use provider::Provider;
use provisioning::{
    Audit, AuditSink, AuditWriter, AuditWriters, MaintainerRevoke, Protected, Provisioning, ProvisioningSettings,
    WriteTimeouts,
};
use rate_limit::BudgetState;

/// How to treat team listings if the token's owner can see only part of the teams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PartialVisibility {
    /// Team listings fail, because access to a hidden team would look revoked.
    #[default]
    Refuse,
    /// Only the visible teams are governed.
    Allow,
}

/// The operator's settings for governance.
#[derive(Debug, Clone)]
pub struct GovernanceSettings {
    /// The kinds of changes that are carried out.
    pub allowed: AllowedChanges,
    /// What happens to a maintainer whose level is revoked.
    pub maintainer_revoke: MaintainerRevoke,
    /// Users and teams that no grant or revoke changes.
    pub protected: Protected,
    /// The file that records changes in addition to the log.
    pub audit_file: Option<PathBuf>,
    /// The maximum number of people that are removed from the organization within an hour.
    pub off_boarding_limit: u32,
    /// The slugs of the pipelines in which builds may be started and unblocked.
    pub build_pipelines: Vec<String>,
    /// The timeouts of writes.
    pub write_timeouts: WriteTimeouts,
    /// The maximum age of the lists in which e-mail addresses and protected names are looked up, and of carried access that serves a
    /// request outside of the sync that read it.
    pub directory_max_age: Duration,
    /// How a partial view of the teams is treated.
    pub partial_visibility: PartialVisibility,
    /// The settings of scope health.
    pub health: HealthSettings,
    /// The number of concurrent prefetch requests within a sync; zero disables prefetching.
    pub read_ahead: usize,
    /// The name of the connection, if the configuration file names connections.
    pub connection: Option<ConnectionLabel>,
    /// The writers of the audit files, which connections that record in the same file share.
    pub audit_writers: AuditWriters,
    /// What is shared with the other connections to the organization; `None` if nothing is.
    pub organization: Option<Arc<OrganizationState>>,
    /// Whether the configuration file is in force, if the process reads one again when it changes.
    pub configuration: Option<Arc<ConfigurationStatus>>,
}

impl Default for GovernanceSettings {
    fn default() -> Self {
        Self {
            allowed: AllowedChanges::none(),
            maintainer_revoke: MaintainerRevoke::default(),
            protected: Protected::default(),
            audit_file: None,
            off_boarding_limit: 10,
            build_pipelines: Vec::new(),
            write_timeouts: WriteTimeouts::default(),
            directory_max_age: Duration::from_secs(600),
            partial_visibility: PartialVisibility::default(),
            health: HealthSettings::default(),
            read_ahead: 16,
            connection: None,
            audit_writers: AuditWriters::default(),
            organization: None,
            configuration: None,
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
    lifecycle: Arc<Lifecycle>,
    actions: Arc<Actions>,
    health: Health,
}

impl Governance {
    /// Governs the organization of `provider`. Changes are recorded in the audit file of the settings, if any.
    #[must_use]
    pub fn new(provider: Arc<dyn Provider>, settings: GovernanceSettings) -> Self {
        let writer = settings
            .audit_file
            .as_deref()
            .map(|path| settings.audit_writers.of_file(path, settings.write_timeouts.append));
        Self::with_writer(provider, settings, writer)
    }

    /// Governs the organization of `provider`, and records changes in `sink` in place of the audit file.
    #[must_use]
    pub fn with_sink(
        provider: Arc<dyn Provider>,
        settings: GovernanceSettings,
        sink: Option<Arc<dyn AuditSink>>,
    ) -> Self {
        let writer = sink.map(|sink| Arc::new(AuditWriter::new(sink, settings.write_timeouts.append)));
        Self::with_writer(provider, settings, writer)
    }

    fn with_writer(
        provider: Arc<dyn Provider>,
        settings: GovernanceSettings,
        writer: Option<Arc<AuditWriter>>,
    ) -> Self {
        let source = provider.health();
        let notifier = source.notifier();
        let audit = Audit::new(writer, settings.connection.clone(), &notifier);
        let connection = settings.connection.as_ref().map(|label| label.name().clone());
        let shared = settings.organization.clone().unwrap_or_default();
        let directory = Arc::new(Directory::new(!settings.allowed.is_empty()));
        let listings = Listings::new(
            Arc::clone(&provider),
            settings.read_ahead,
            Arc::clone(&directory),
            settings.directory_max_age,
            connection.clone(),
        );
        let listings = Arc::new(listings);
        let provisioning = Provisioning::new(
            Arc::clone(&provider),
            Arc::clone(&listings),
            Arc::clone(&directory),
            ProvisioningSettings::from(&settings),
            shared.memberships(),
            audit,
            notifier,
        );
        let provisioning = Arc::new(provisioning);
        let lifecycle = Lifecycle::new(
            Arc::clone(&provisioning),
            Arc::clone(&listings),
            directory,
            LifecycleSettings::from(&settings),
            shared.resources(),
            provider.organization(),
            settings.audit_file.as_deref(),
        );
        let lifecycle = Arc::new(lifecycle);
        let actions = Actions::new(
            Arc::clone(&provider),
            Arc::clone(&listings),
            Arc::clone(&provisioning),
            Arc::clone(&lifecycle),
            settings.allowed.clone(),
            settings.build_pipelines.clone(),
            shared.invocations(connection.as_ref()),
        );
        let changes = Arc::clone(&provisioning) as Arc<dyn ChangeHealth>;
        Self {
            health: Health::new(source, settings.health.clone(), changes, settings.configuration.clone()),
            provider,
            settings,
            listings,
            provisioning,
            lifecycle,
            actions: Arc::new(actions),
        }
    }

    /// The organization's name.
    #[must_use]
    pub fn organization(&self) -> &str {
        self.provider.organization()
    }

    /// The lists of the organization.
    #[must_use]
    pub fn listings(&self) -> &Listings {
        &self.listings
    }

    /// Grants and revokes in the organization.
    #[must_use]
    pub fn provisioning(&self) -> &Arc<Provisioning> {
        &self.provisioning
    }

    /// Inviting and off-boarding people, and creating and deleting resources.
    #[must_use]
    pub fn lifecycle(&self) -> &Arc<Lifecycle> {
        &self.lifecycle
    }

    /// The actions that the settings allow.
    #[must_use]
    pub fn actions(&self) -> &Arc<Actions> {
        &self.actions
    }

    /// The health of the connection to the organization.
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

    /// The operator's settings.
    #[must_use]
    pub fn settings(&self) -> &GovernanceSettings {
        &self.settings
    }
}

impl From<&GovernanceSettings> for ProvisioningSettings {
    fn from(settings: &GovernanceSettings) -> Self {
        Self {
            allowed: settings.allowed.clone(),
            maintainer_revoke: settings.maintainer_revoke,
            protected: settings.protected.clone(),
            write_timeouts: settings.write_timeouts.clone(),
            directory_max_age: settings.directory_max_age,
            health_max_age: settings.health.max_age,
        }
    }
}

impl From<&GovernanceSettings> for LifecycleSettings {
    fn from(settings: &GovernanceSettings) -> Self {
        Self {
            write_timeouts: settings.write_timeouts.clone(),
            directory_max_age: settings.directory_max_age,
            off_boarding_limit: settings.off_boarding_limit,
        }
    }
}
