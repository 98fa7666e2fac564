//! `GrantsService`: the grants of a team.

use tonic::{Request, Response, Status, async_trait};

use super::Connector;
use crate::governance::Page;
use crate::proto::c1::connector::v2::{
    GrantsServiceListGrantsRequest, GrantsServiceListGrantsResponse, grants_service_server::GrantsService,
};
use crate::wire::request;
use crate::wire::{rate_limit, rows};

#[async_trait]
impl GrantsService for Connector {
    async fn list_grants(
        &self,
        request: Request<GrantsServiceListGrantsRequest>,
    ) -> Result<Response<GrantsServiceListGrantsResponse>, Status> {
        let governance = self.governance(&request)?;
        let listings = governance.listings();
        let call = request::listing(&request);
        let request = request.into_inner();
        let limit = request::page_size(request.page_size)?;
        let resource = request.resource.unwrap_or_default();
        let resource = request::resource_id(listings.catalog(), "resource.id", resource.id.as_ref())?;
        if !resource.resource_type.has_grants() {
            return Ok(Response::new(GrantsServiceListGrantsResponse::default()));
        }
        let Page { rows, next } = listings
            .grants(resource, &request.page_token, limit, &request.active_sync_id, &call)
            .await?;
        Ok(Response::new(GrantsServiceListGrantsResponse {
            list: rows.iter().map(rows::grant).collect(),
            next_page_token: next,
            annotations: rate_limit::usage_annotations(&governance, &call),
        }))
    }
}
