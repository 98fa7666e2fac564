//! `ResourcesService`: every person and every team.

use tonic::{Request, Response, Status, async_trait};

use super::Connector;
use crate::governance::{Page, ResourceKind};
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
        let call = request::listing(&request);
        let request = request.into_inner();
        let limit = request::page_size(request.page_size)?;
        let kind = request::resource_kind(&request.resource_type_id)?;
        if request.parent_resource_id.is_some() {
            // Nothing is below anything here: a child listing is empty by its nature, not by what Buildkite holds.
            return Ok(Response::new(ResourcesServiceListResourcesResponse::default()));
        }
        let (token, sync) = (&request.page_token, &request.active_sync_id);
        let (list, next_page_token) = match kind {
            ResourceKind::User => {
                let Page { rows, next } = self.governance.users(token, limit, sync, &call).await?;
                (rows.into_iter().map(rows::user).collect(), next)
            }
            ResourceKind::Team => {
                let Page { rows, next } = self.governance.teams(token, limit, sync, &call).await?;
                (
                    rows.into_iter()
                        .map(|team| rows::team(team, self.governance.organization()))
                        .collect(),
                    next,
                )
            }
        };
        Ok(Response::new(ResourcesServiceListResourcesResponse {
            list,
            next_page_token,
            annotations: rate_limit::usage_annotations(&self.governance, &call),
        }))
    }
}
