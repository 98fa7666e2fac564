//! `ResourcesService`: the resources of a type.

use tonic::{Request, Response, Status, async_trait};

use super::Connector;
use crate::governance::Page;
use crate::proto::c1::connector::v2::{
    ResourcesServiceListResourcesRequest, ResourcesServiceListResourcesResponse,
    resources_service_server::ResourcesService,
};
use crate::wire::request;
use crate::wire::{rate_limit, rows};

#[async_trait]
impl ResourcesService for Connector {
    async fn list_resources(
        &self,
        request: Request<ResourcesServiceListResourcesRequest>,
    ) -> Result<Response<ResourcesServiceListResourcesResponse>, Status> {
        let governance = self.governance(&request)?;
        let listings = governance.listings();
        let call = request::listing(&request);
        let request = request.into_inner();
        let limit = request::page_size(request.page_size)?;
        let resource_type = request::resource_type(listings.catalog(), &request.resource_type_id)?;
        if request.parent_resource_id.is_some() {
            // Nothing is below anything here: a child listing is empty by its nature, not by what Buildkite holds.
            return Ok(Response::new(ResourcesServiceListResourcesResponse::default()));
        }
        let (token, sync) = (&request.page_token, &request.active_sync_id);
        let Page { rows, next } = listings.resources(resource_type, token, limit, sync, &call).await?;
        Ok(Response::new(ResourcesServiceListResourcesResponse {
            list: rows.into_iter().map(rows::resource).collect(),
            next_page_token: next,
            annotations: rate_limit::usage_annotations(&governance, &call),
        }))
    }
}
