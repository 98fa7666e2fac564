//! `ResourceTypesService`: people and teams.

use tonic::{Request, Response, Status, async_trait};

use super::{Connector, request, rows};
use crate::access::ResourceKind;
use crate::proto::c1::connector::v2::{
    ResourceTypesServiceListResourceTypesRequest, ResourceTypesServiceListResourceTypesResponse,
    resource_types_service_server::ResourceTypesService,
};

#[async_trait]
impl ResourceTypesService for Connector {
    async fn list_resource_types(
        &self,
        request: Request<ResourceTypesServiceListResourceTypesRequest>,
    ) -> Result<Response<ResourceTypesServiceListResourceTypesResponse>, Status> {
        let request = request.into_inner();
        request::page_size(request.page_size)?;
        request::no_page(&request.page_token)?;
        let list = match request.parent {
            Some(_) => vec![],
            None => ResourceKind::ALL.into_iter().map(rows::resource_type).collect(),
        };
        Ok(Response::new(ResourceTypesServiceListResourceTypesResponse {
            list,
            ..Default::default()
        }))
    }
}
