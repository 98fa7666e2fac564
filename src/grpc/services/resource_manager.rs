//! `ResourceManagerService`: creates and deletes resources.

use tonic::{Request, Response, Status, async_trait};

use super::Connector;
use crate::governance::model::{LifecycleOperation, Resource};
use crate::governance::provisioning::RequestContext;
use crate::governance::{Governance, GovernanceError};
use crate::grpc::context;
use crate::proto::c1::connector::v2::resource_manager_service_server::ResourceManagerService;
use crate::proto::c1::connector::v2::{
    CreateResourceRequest, CreateResourceResponse, DeleteResourceRequest, DeleteResourceResponse, ResourceId,
};
use crate::wire::{lifecycle as wire, request, rows};

#[async_trait]
impl ResourceManagerService for Connector {
    async fn create_resource(
        &self,
        request: Request<CreateResourceRequest>,
    ) -> Result<Response<CreateResourceResponse>, Status> {
        let governance = self.governance(&request)?;
        let context = context::from_request(&request, &[]);
        context::respond(&context.clone(), async {
            let created = create(&governance, request.into_inner(), context).await?;
            Ok(CreateResourceResponse {
                created: Some(rows::resource(created)),
                annotations: vec![],
            })
        })
        .await
    }

    async fn delete_resource(
        &self,
        request: Request<DeleteResourceRequest>,
    ) -> Result<Response<DeleteResourceResponse>, Status> {
        let governance = self.governance(&request)?;
        let context = context::from_request(&request, &[]);
        context::respond(&context.clone(), async {
            delete(&governance, request.into_inner().resource_id.as_ref(), context).await?;
            Ok(DeleteResourceResponse { annotations: vec![] })
        })
        .await
    }
}

async fn create(
    governance: &Governance,
    request: CreateResourceRequest,
    context: RequestContext,
) -> Result<Resource, GovernanceError> {
    let lifecycle = governance.lifecycle();
    let resource = request.resource.unwrap_or_default();
    let id = resource.id.clone().unwrap_or_default();
    let resource_type = request::resource_type(governance.listings().catalog(), &id.resource_type);
    let named = resource_type.as_ref().ok().copied();
    let new = resource_type.and_then(|of| Ok((of, wire::new_resource(&resource)?)));
    match new {
        Ok((resource_type, new)) => lifecycle.create(resource_type, new, context).await,
        Err(error) => {
            let operation = LifecycleOperation::Create;
            let refused = lifecycle.record_rejected_request(operation, named, None, context, error);
            Err(refused.await)
        }
    }
}

/// Deletes the resource with this id. One that is absent already is a success.
pub(super) async fn delete(
    governance: &Governance,
    id: Option<&ResourceId>,
    context: RequestContext,
) -> Result<(), GovernanceError> {
    let lifecycle = governance.lifecycle();
    let catalog = governance.listings().catalog();
    match request::resource_id(catalog, "resource_id", id) {
        Ok(resource) => lifecycle.delete(resource, context).await.map(drop),
        Err(error) => {
            let named = id.and_then(|id| catalog.resource_type(&id.resource_type).ok());
            let operation = LifecycleOperation::Delete;
            let refused = lifecycle.record_rejected_request(operation, named, None, context, error);
            Err(refused.await)
        }
    }
}
