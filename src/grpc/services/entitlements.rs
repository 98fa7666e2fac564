//! `EntitlementsService`: two roles per team, listed without a request to Buildkite.

use tonic::{Request, Response, Status, async_trait};

use super::Connector;
use crate::governance::{EntitlementId, Page, ResourceId};
use crate::proto::c1::connector::v2::{
    EntitlementsServiceListEntitlementsRequest, EntitlementsServiceListEntitlementsResponse,
    EntitlementsServiceListStaticEntitlementsRequest, EntitlementsServiceListStaticEntitlementsResponse,
    entitlements_service_server::EntitlementsService,
};
use crate::wire::request;
use crate::wire::rows;

#[async_trait]
impl EntitlementsService for Connector {
    async fn list_entitlements(
        &self,
        request: Request<EntitlementsServiceListEntitlementsRequest>,
    ) -> Result<Response<EntitlementsServiceListEntitlementsResponse>, Status> {
        let request = request.into_inner();
        let limit = request::page_size(request.page_size)?;
        let resource = request.resource.unwrap_or_default();
        let team = match request::resource_id("resource.id", resource.id.as_ref())? {
            ResourceId::User(_) => {
                request::no_page(&request.page_token)?;
                return Ok(Response::new(EntitlementsServiceListEntitlementsResponse::default()));
            }
            ResourceId::Team(team) => team,
        };
        let Page { rows, next } = self.governance.roles(team, &request.page_token, limit)?;
        let entitlements = rows
            .into_iter()
            .map(|role| rows::entitlement(&resource, EntitlementId { team, role }));
        Ok(Response::new(EntitlementsServiceListEntitlementsResponse {
            list: entitlements.collect(),
            next_page_token: next,
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
