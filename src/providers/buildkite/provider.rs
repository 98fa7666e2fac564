//! Implements the seam of governance for Buildkite.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::actions::BuildkiteActions;
use super::api::client::observer::Observer;
use super::health::recorder::EvidenceRecorder;
use super::organization::{Organizations, SharedOrganization};
use super::visibility::RoleAfterLists;
use super::{Client, Coverage, CredentialForm, resources};
use crate::governance::provider::{
    ActionProvider, CredentialDetails, Failure, HealthSource, OwnCredential, OwnerRole, Provider, ResourceType,
};
use crate::governance::provisioning::AuditSink;
use crate::governance::rate_limit::BudgetState;
use crate::governance::sync::ListHistory;
use crate::governance::{CallContext, Governance, GovernanceError, GovernanceSettings, Lane, PartialVisibility};

/// One organization of Buildkite: its API, and the evidence of its responses.
#[derive(Debug)]
pub struct Buildkite {
    /// The API. `recorder` observes every call.
    pub(crate) client: Client,
    pub(crate) recorder: Arc<EvidenceRecorder>,
    pub(crate) coverage: Coverage,
    pub(super) partial_visibility: PartialVisibility,
    /// How many windows of a list may be requested concurrently.
    pub(super) list_concurrency: usize,
    /// Held during a probe run, so that concurrent callers share one.
    pub(super) probe_lock: Mutex<()>,
    pub(super) role_after_lists: RoleAfterLists,
    pub(super) list_history: ListHistory,
    /// What is shared with other connections to the organization.
    pub(super) shared: Arc<SharedOrganization>,
}

impl Buildkite {
    /// The organization that `client` reaches.
    #[must_use]
    pub fn new(
        client: Arc<Client>,
        coverage: Coverage,
        partial_visibility: PartialVisibility,
        list_concurrency: usize,
    ) -> Self {
        let recorder = Arc::new(EvidenceRecorder::default());
        let observer = Arc::clone(&recorder) as Arc<dyn Observer>;
        Self {
            client: Arc::unwrap_or_clone(client).observed_by(observer),
            recorder,
            coverage,
            partial_visibility,
            list_concurrency,
            probe_lock: Mutex::default(),
            role_after_lists: RoleAfterLists::default(),
            list_history: ListHistory::default(),
            shared: Arc::default(),
        }
    }

    /// The same organization, which shares `shared` with other connections to it.
    fn sharing(self, shared: Arc<SharedOrganization>) -> Self {
        Self { shared, ..self }
    }

    /// The organization's slug.
    #[must_use]
    pub fn organization_slug(&self) -> &str {
        self.client.organization_slug().as_str()
    }
}

/// The provider: Buildkite with its resource types.
#[derive(Debug)]
pub struct BuildkiteProvider {
    buildkite: Arc<Buildkite>,
    actions: Arc<BuildkiteActions>,
    resource_types: Vec<Arc<dyn ResourceType>>,
}

impl BuildkiteProvider {
    /// The provider for the organization of `buildkite`. A list in which a single resource is looked up may be `directory_max_age`
    /// old, and a list may not show a write for `own_write_window`.
    #[must_use]
    pub fn new(buildkite: Arc<Buildkite>, directory_max_age: Duration, own_write_window: Duration) -> Self {
        let resource_types = resources::all(&buildkite, directory_max_age);
        Self {
            actions: Arc::new(BuildkiteActions::new(Arc::clone(&buildkite), own_write_window)),
            buildkite,
            resource_types,
        }
    }
}

#[async_trait]
impl Provider for BuildkiteProvider {
    fn organization(&self) -> &str {
        self.buildkite.organization_slug()
    }

    fn resource_types(&self) -> &[Arc<dyn ResourceType>] {
        &self.resource_types
    }

    fn budget(&self) -> BudgetState {
        self.buildkite.client.budget()
    }

    fn forecast(&self, lane: Lane, requests: u32) -> Option<Instant> {
        self.buildkite.client.forecast(lane, requests)
    }

    fn max_wait(&self, lane: Lane) -> Duration {
        self.buildkite.client.max_wait(lane)
    }

    fn list_history(&self) -> &ListHistory {
        &self.buildkite.list_history
    }

    async fn confirm_access(&self, max_age: Duration, call: &CallContext) -> Result<(), GovernanceError> {
        self.buildkite.confirm_works(max_age, call).await
    }

    fn credential(&self) -> &dyn OwnCredential {
        &*self.buildkite
    }

    fn actions(&self) -> Option<Arc<dyn ActionProvider>> {
        Some(Arc::clone(&self.actions) as Arc<dyn ActionProvider>)
    }

    fn health(&self) -> Arc<dyn HealthSource> {
        Arc::clone(&self.buildkite) as Arc<dyn HealthSource>
    }
}

#[async_trait]
impl OwnCredential for Buildkite {
    async fn details(&self, call: &CallContext) -> Result<CredentialDetails, GovernanceError> {
        let (token, owner, owner_role, reaches_organization) = match self.credential_status(Duration::ZERO, call).await
        {
            Ok(status) => {
                let owner = status.owner_label();
                (status.token, owner, status.owner_role, true)
            }
            Err(GovernanceError::MissingScope { .. } | GovernanceError::Forbidden { .. }) => {
                let first = self.client.as_credential(self.client.responsible(call));
                let token = first.access_token(call).await.map_err(Failure::from);
                let token = token.map_err(|failure| failure.error)?;
                let owner = token
                    .user
                    .as_ref()
                    .and_then(|user| user.email.clone().or_else(|| user.name.clone()));
                let owner = owner.unwrap_or_else(|| "(unknown)".to_owned());
                (token, owner, OwnerRole::Unknown, false)
            }
            Err(error) => return Err(error),
        };
        Ok(CredentialDetails {
            owner,
            owner_role,
            reaches_organization,
            description: token.description,
            scopes: token.scopes,
            expires_at: token
                .expires_at
                .filter(|_| self.client.credential().form() == CredentialForm::Token),
        })
    }

    async fn revoke(&self, call: &CallContext) -> Result<(), Failure> {
        self.client.revoke_token(call).await.map_err(Failure::from)
    }

    async fn is_rejected(&self, call: &CallContext) -> Result<bool, Failure> {
        match self.client.access_token(call).await {
            Ok(_) => Ok(false),
            Err(error) if error.kind.is_unauthorized() => Ok(true),
            Err(error) => Err(error.into()),
        }
    }
}

/// Governs what `coverage` covers of the organization that `client` reaches. The changes that it allows replace those of the
/// settings. Changes are recorded in the audit file of the settings, if any.
#[must_use]
pub fn govern(client: Arc<Client>, coverage: Coverage, settings: GovernanceSettings) -> Governance {
    govern_shared(&Organizations::default(), client, coverage, settings)
}

/// Does the same beside the other connections of the process to this organization, which are those of `organizations`.
#[must_use]
pub fn govern_shared(
    organizations: &Organizations,
    client: Arc<Client>,
    coverage: Coverage,
    settings: GovernanceSettings,
) -> Governance {
    let shared = organizations.of(&client);
    let settings = GovernanceSettings {
        organization: Some(Arc::clone(&shared.governance)),
        ..allowing(&coverage, settings)
    };
    Governance::new(provider(client, coverage, &settings, shared), settings)
}

/// Does the same, and records changes in `sink` in place of the audit file.
#[must_use]
pub fn govern_with_sink(
    client: Arc<Client>,
    coverage: Coverage,
    settings: GovernanceSettings,
    sink: Arc<dyn AuditSink>,
) -> Governance {
    let settings = allowing(&coverage, settings);
    let provider = provider(client, coverage, &settings, Arc::default());
    Governance::with_sink(provider, settings, Some(sink))
}

fn allowing(coverage: &Coverage, settings: GovernanceSettings) -> GovernanceSettings {
    GovernanceSettings {
        allowed: coverage.allowed().clone(),
        ..settings
    }
}

fn provider(
    client: Arc<Client>,
    coverage: Coverage,
    settings: &GovernanceSettings,
    shared: Arc<SharedOrganization>,
) -> Arc<dyn Provider> {
    let buildkite = Buildkite::new(client, coverage, settings.partial_visibility, settings.read_ahead);
    Arc::new(BuildkiteProvider::new(
        Arc::new(buildkite.sharing(shared)),
        settings.directory_max_age,
        settings.write_timeouts.own_write_window,
    ))
}
