//! `ConnectorService`: what this connector is, whether its credential works, and the end of a sync.

use std::collections::BTreeSet;

use tonic::{Request, Response, Status, async_trait};

use super::Connector;
use crate::governance::AllowedChanges;
use crate::governance::model::{Catalog, ResourceKind, ResourceTypeInfo};
use crate::proto::c1::connector::v2::{
    Capability, CapabilityPermission, CapabilityPermissions, ConnectorCapabilities, ConnectorMetadata,
    ConnectorServiceCleanupRequest, ConnectorServiceCleanupResponse, ConnectorServiceGetMetadataRequest,
    ConnectorServiceGetMetadataResponse, ConnectorServiceValidateRequest, ConnectorServiceValidateResponse,
    ResourceTypeCapability, connector_service_server::ConnectorService,
};
use crate::wire::{request, rows};

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
            capabilities: Some(capabilities(self.catalog(), &self.governance.settings().allowed)),
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
        self.governance.health().validate(request::deadline(&request)).await?;
        Ok(Response::new(ConnectorServiceValidateResponse {
            annotations: vec![],
            sdk_version: SDK_VERSION.to_owned(),
        }))
    }

    async fn cleanup(
        &self,
        request: Request<ConnectorServiceCleanupRequest>,
    ) -> Result<Response<ConnectorServiceCleanupResponse>, Status> {
        self.governance.listings().end_sync(&request.get_ref().active_sync_id);
        Ok(Response::new(ConnectorServiceCleanupResponse::default()))
    }
}

/// What is offered now, by what `allowed` allows. The connector's own capabilities are those of its types.
pub(crate) fn capabilities(catalog: &Catalog, allowed: &AllowedChanges) -> ConnectorCapabilities {
    // Sorted by type id and by number, as the protocol's own SDK does.
    let mut types = catalog.types().to_vec();
    types.sort_unstable_by_key(|resource_type| resource_type.id);
    let of_types = types.iter().flat_map(|resource_type| offered(resource_type, allowed));
    let all: BTreeSet<i32> = of_types
        .chain([Capability::ServiceModeTargetedSync])
        .map(Into::into)
        .collect();
    ConnectorCapabilities {
        connector_capabilities: all.into_iter().collect(),
        resource_type_capabilities: types
            .into_iter()
            .map(|resource_type| capability(resource_type, allowed))
            .collect(),
        credential_details: None,
    }
}

/// The capabilities of a type: every type is read; what else is offered depends on the allowed changes.
fn offered(resource_type: &ResourceTypeInfo, allowed: &AllowedChanges) -> Vec<Capability> {
    let provisioned = resource_type.is_provisioned(allowed).then_some(Capability::Provision);
    let read = [Capability::Sync, Capability::TargetedSync];
    provisioned.into_iter().chain(read).collect()
}

fn capability(resource_type: &ResourceTypeInfo, allowed: &AllowedChanges) -> ResourceTypeCapability {
    let capabilities = offered(resource_type, allowed);
    let write_scopes = if resource_type.is_provisioned(allowed) {
        resource_type.write_scopes
    } else {
        &[]
    };
    let scopes = resource_type.read_scopes.iter().chain(write_scopes);
    let permissions = scopes
        .map(|scope| CapabilityPermission {
            permission: (*scope).to_owned(),
        })
        .collect();
    ResourceTypeCapability {
        resource_type: Some(rows::resource_type(resource_type)),
        capabilities: capabilities.into_iter().map(Into::into).collect(),
        permissions: Some(CapabilityPermissions { permissions }),
        skip_sync_anomaly_detection: resource_type.kind == ResourceKind::PendingUser,
        ..Default::default()
    }
}
