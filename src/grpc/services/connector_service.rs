//! `ConnectorService`: what this connector is, whether its credential works, and the end of a sync.

use tonic::{Request, Response, Status, async_trait};

use super::Connector;
use crate::governance::ResourceKind;
use crate::proto::c1::connector::v2::{
    Capability, CapabilityPermission, CapabilityPermissions, ConnectorCapabilities, ConnectorMetadata,
    ConnectorServiceCleanupRequest, ConnectorServiceCleanupResponse, ConnectorServiceGetMetadataRequest,
    ConnectorServiceGetMetadataResponse, ConnectorServiceValidateRequest, ConnectorServiceValidateResponse,
    ResourceTypeCapability, connector_service_server::ConnectorService,
};
use crate::providers::buildkite::Scope;
use crate::wire::request;
use crate::wire::rows;

/// The protocol that is spoken. From 0.4.3 on a client sends the id of its sync, without which nothing can be read ahead.
const SDK_VERSION: &str = "0.25.0";

#[async_trait]
impl ConnectorService for Connector {
    async fn get_metadata(
        &self,
        _: Request<ConnectorServiceGetMetadataRequest>,
    ) -> Result<Response<ConnectorServiceGetMetadataResponse>, Status> {
        let metadata = ConnectorMetadata {
            display_name: "Buildkite".to_owned(),
            help_url: "https://buildkite.com/docs/platform/team-management/permissions".to_owned(),
            description: "Governs who is Member or Maintainer of which Buildkite team".to_owned(),
            capabilities: Some(capabilities(self.governance.settings().provisioning)),
            ..Default::default()
        };
        Ok(Response::new(ConnectorServiceGetMetadataResponse {
            metadata: Some(metadata),
        }))
    }

    async fn validate(
        &self,
        request: Request<ConnectorServiceValidateRequest>,
    ) -> Result<Response<ConnectorServiceValidateResponse>, Status> {
        self.governance.validate(request::deadline(&request)).await?;
        Ok(Response::new(ConnectorServiceValidateResponse {
            annotations: vec![],
            sdk_version: SDK_VERSION.to_owned(),
        }))
    }

    async fn cleanup(
        &self,
        request: Request<ConnectorServiceCleanupRequest>,
    ) -> Result<Response<ConnectorServiceCleanupResponse>, Status> {
        self.governance.end_sync(&request.get_ref().active_sync_id);
        Ok(Response::new(ConnectorServiceCleanupResponse::default()))
    }
}

/// What is truly there: provisioning is a capability only while it is on.
pub(crate) fn capabilities(provisioning: bool) -> ConnectorCapabilities {
    let team = [
        provisioning.then_some(Capability::Provision),
        Some(Capability::Sync),
        Some(Capability::TargetedSync),
    ];
    let team: Vec<Capability> = team.into_iter().flatten().collect();
    let mut all = team.clone();
    all.push(Capability::ServiceModeTargetedSync);
    let mut team_scopes = vec![Scope::ReadTeams];
    team_scopes.extend(provisioning.then_some(Scope::WriteTeams));
    ConnectorCapabilities {
        // Sorted by type id and by number, as the protocol's own SDK does.
        resource_type_capabilities: vec![
            capability(ResourceKind::Team, &team, &team_scopes),
            capability(
                ResourceKind::User,
                &[Capability::Sync, Capability::TargetedSync],
                &[Scope::ReadOrganizations, Scope::ReadUser],
            ),
        ],
        connector_capabilities: all.into_iter().map(Into::into).collect(),
        credential_details: None,
    }
}

fn capability(kind: ResourceKind, capabilities: &[Capability], scopes: &[Scope]) -> ResourceTypeCapability {
    let permissions = scopes
        .iter()
        .map(|scope| CapabilityPermission {
            permission: scope.to_string(),
        })
        .collect();
    ResourceTypeCapability {
        resource_type: Some(rows::resource_type(kind)),
        capabilities: capabilities.iter().map(|capability| (*capability).into()).collect(),
        permissions: Some(CapabilityPermissions { permissions }),
        ..Default::default()
    }
}
