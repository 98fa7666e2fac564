//! `ResourceGetterService`: one person or one team.

use tonic::{Request, Response, Status, async_trait};

use super::Connector;
use crate::governance::ResourceId;
use crate::proto::c1::connector::v2::{
    ResourceGetterServiceGetResourceRequest, ResourceGetterServiceGetResourceResponse,
    resource_getter_service_server::ResourceGetterService,
};
use crate::providers::buildkite::Lane;
use crate::wire::request;
use crate::wire::{rate_limit, rows};

#[async_trait]
impl ResourceGetterService for Connector {
    async fn get_resource(
        &self,
        request: Request<ResourceGetterServiceGetResourceRequest>,
    ) -> Result<Response<ResourceGetterServiceGetResourceResponse>, Status> {
        let call = request::call(&request, Lane::Interactive);
        let resource = match request::resource_id("resource_id", request.get_ref().resource_id.as_ref())? {
            ResourceId::User(user) => rows::user(self.governance.user(user, &call).await?),
            ResourceId::Team(team) => {
                rows::team(self.governance.team(team, &call).await?, self.governance.organization())
            }
        };
        Ok(Response::new(ResourceGetterServiceGetResourceResponse {
            resource: Some(resource),
            annotations: rate_limit::usage_annotations(&self.governance, &call),
        }))
    }
}
