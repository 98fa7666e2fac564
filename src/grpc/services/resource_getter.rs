//! `ResourceGetterService`: one resource.

use tonic::{Request, Response, Status, async_trait};

use super::Connector;
use crate::governance::Lane;
use crate::proto::c1::connector::v2::{
    ResourceGetterServiceGetResourceRequest, ResourceGetterServiceGetResourceResponse,
    resource_getter_service_server::ResourceGetterService,
};
use crate::wire::{rate_limit, request, rows};

#[async_trait]
impl ResourceGetterService for Connector {
    async fn get_resource(
        &self,
        request: Request<ResourceGetterServiceGetResourceRequest>,
    ) -> Result<Response<ResourceGetterServiceGetResourceResponse>, Status> {
        let governance = self.governance(&request)?;
        let listings = governance.listings();
        let call = request::call(&request, Lane::Interactive);
        let id = request.get_ref().resource_id.as_ref();
        let id = request::resource_id(listings.catalog(), "resource_id", id)?;
        let resource = rows::resource(listings.resource(id, &call).await?);
        Ok(Response::new(ResourceGetterServiceGetResourceResponse {
            resource: Some(resource),
            annotations: rate_limit::usage_annotations(&governance, &call),
        }))
    }
}
