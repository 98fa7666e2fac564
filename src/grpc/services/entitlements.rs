//! `EntitlementsService`: the levels of a resource, listed without a request to the provider.

use tonic::{Request, Response, Status, async_trait};

use super::Connector;
use crate::governance::Page;
use crate::governance::model::EntitlementId;
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
        let governance = self.governance(&request)?;
        let (listings, catalog) = (governance.listings(), governance.listings().catalog());
        let request = request.into_inner();
        let limit = request::page_size(request.page_size)?;
        let resource = request.resource.unwrap_or_default();
        let of = request::resource_id(catalog, "resource.id", resource.id.as_ref())?;
        if !of.resource_type.has_grants() {
            request::reject_page_token(&request.page_token)?;
            return Ok(Response::new(EntitlementsServiceListEntitlementsResponse::default()));
        }
        let Page { rows, next } = listings.levels(of, &request.page_token, limit, &request.active_sync_id)?;
        let entitlements = rows.into_iter().map(|level| {
            let id = EntitlementId { resource: of, level };
            rows::entitlement(&resource, id, catalog.principals_of(of.resource_type))
        });
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
        let governance = self.governance(&request)?;
        let catalog = governance.listings().catalog();
        let request = request.into_inner();
        request::page_size(request.page_size)?;
        request::reject_page_token(&request.page_token)?;
        request::resource_type(catalog, &request.resource_type_id)?;
        Ok(Response::new(
            EntitlementsServiceListStaticEntitlementsResponse::default(),
        ))
    }
}
