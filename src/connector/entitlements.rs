//! `EntitlementsService`: two roles a team, told without asking Buildkite.

use tonic::{Request, Response, Status, async_trait};

use super::{Connector, request, rows};
use crate::access::ResourceId;
use crate::proto::c1::connector::v2::{
    EntitlementsServiceListEntitlementsRequest, EntitlementsServiceListEntitlementsResponse,
    EntitlementsServiceListStaticEntitlementsRequest, EntitlementsServiceListStaticEntitlementsResponse,
    entitlements_service_server::EntitlementsService,
};

#[async_trait]
impl EntitlementsService for Connector {
    async fn list_entitlements(
        &self,
        request: Request<EntitlementsServiceListEntitlementsRequest>,
    ) -> Result<Response<EntitlementsServiceListEntitlementsResponse>, Status> {
        let request = request.into_inner();
        request::page_size(request.page_size)?;
        request::no_page(&request.page_token)?;
        let resource = request.resource.unwrap_or_default();
        let list = match request::resource_id("resource.id", resource.id.as_ref())? {
            ResourceId::User(_) => vec![],
            ResourceId::Team(team) => rows::entitlements(&resource, team),
        };
        Ok(Response::new(EntitlementsServiceListEntitlementsResponse {
            list,
            ..Default::default()
        }))
    }

    async fn list_static_entitlements(
        &self,
        request: Request<EntitlementsServiceListStaticEntitlementsRequest>,
    ) -> Result<Response<EntitlementsServiceListStaticEntitlementsResponse>, Status> {
        let request = request.into_inner();
        request::page_size(request.page_size)?;
        request::no_page(&request.page_token)?;
        request::resource_kind(&request.resource_type_id)?;
        Ok(Response::new(
            EntitlementsServiceListStaticEntitlementsResponse::default(),
        ))
    }
}
