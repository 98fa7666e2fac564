//! `ResourceTypesService`: people and teams.

use tonic::{Request, Response, Status, async_trait};

use super::Connector;
use crate::governance::Page;
use crate::proto::c1::connector::v2::{
    ResourceTypesServiceListResourceTypesRequest, ResourceTypesServiceListResourceTypesResponse,
    resource_types_service_server::ResourceTypesService,
};
use crate::wire::request;
use crate::wire::rows;

#[async_trait]
impl ResourceTypesService for Connector {
    async fn list_resource_types(
        &self,
        request: Request<ResourceTypesServiceListResourceTypesRequest>,
    ) -> Result<Response<ResourceTypesServiceListResourceTypesResponse>, Status> {
        let governance = self.governance(&request)?;
        let request = request.into_inner();
        let limit = request::page_size(request.page_size)?;
        if request.parent.is_some() {
            request::reject_page_token(&request.page_token)?;
            return Ok(Response::new(ResourceTypesServiceListResourceTypesResponse::default()));
        }
        let Page { rows, next } = governance.listings().resource_types(&request.page_token, limit)?;
        Ok(Response::new(ResourceTypesServiceListResourceTypesResponse {
            list: rows.into_iter().map(rows::resource_type).collect(),
            next_page_token: next,
            ..Default::default()
        }))
    }
}
