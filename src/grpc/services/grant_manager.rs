//! `GrantManagerService`: grants and revokes.
//!
//! Only the entitlement id and the principal id count: the grant id may be a placeholder, and parents and profiles may be
//! missing (protocol reference, section 3).

use prost_types::Any;
use tonic::{Request, Response, Status, async_trait};

use super::Connector;
use crate::governance::provisioning::{OperationKind, Outcome, ProvisioningResult};
use crate::grpc::context;
use crate::proto::c1::connector::v2::{
    GrantAlreadyExists, GrantAlreadyRevoked, GrantManagerServiceGrantRequest, GrantManagerServiceGrantResponse,
    GrantManagerServiceRevokeRequest, GrantManagerServiceRevokeResponse, GrantReplaced,
    grant_manager_service_server::GrantManagerService,
};
use crate::wire::{change, request, rows};

#[async_trait]
impl GrantManagerService for Connector {
    async fn grant(
        &self,
        request: Request<GrantManagerServiceGrantRequest>,
    ) -> Result<Response<GrantManagerServiceGrantResponse>, Status> {
        let governance = self.governance(&request)?;
        let catalog = governance.listings().catalog();
        let context = context::from_request(&request, &request.get_ref().annotations);
        context::respond(&context.clone(), async {
            let request = request.into_inner();
            let entitlement = request::entitlement(catalog, request.entitlement.as_ref());
            let of = entitlement.as_ref().ok().copied();
            let principal = request::principal(catalog, of, request.principal.as_ref());
            let provisioning = governance.provisioning();
            let result = change::apply(provisioning, OperationKind::Grant, entitlement, principal, context).await?;
            let name = request
                .principal
                .map(|principal| principal.display_name)
                .unwrap_or_default();
            Ok(GrantManagerServiceGrantResponse {
                annotations: annotations(&result),
                grants: vec![rows::grant_with_name(result.grant, name)],
            })
        })
        .await
    }

    async fn revoke(
        &self,
        request: Request<GrantManagerServiceRevokeRequest>,
    ) -> Result<Response<GrantManagerServiceRevokeResponse>, Status> {
        let governance = self.governance(&request)?;
        let catalog = governance.listings().catalog();
        let context = context::from_request(&request, &request.get_ref().annotations);
        context::respond(&context.clone(), async {
            let grant = request.into_inner().grant;
            let missing = || request::invalid("grant", "the grant is missing");
            let grant = grant.as_ref().ok_or_else(missing);
            let entitlement = grant
                .clone()
                .and_then(|it| request::entitlement(catalog, it.entitlement.as_ref()));
            let of = entitlement.as_ref().ok().copied();
            let principal = grant.and_then(|it| request::principal(catalog, of, it.principal.as_ref()));
            let provisioning = governance.provisioning();
            let result = change::apply(provisioning, OperationKind::Revoke, entitlement, principal, context).await?;
            Ok(GrantManagerServiceRevokeResponse {
                annotations: annotations(&result),
            })
        })
        .await
    }
}

fn annotations(result: &ProvisioningResult) -> Vec<Any> {
    match result.outcome {
        Outcome::AlreadyExists => vec![rows::annotation(&GrantAlreadyExists {})],
        Outcome::AlreadyRevoked => vec![rows::annotation(&GrantAlreadyRevoked {})],
        Outcome::Replaced(_) => result
            .replaced()
            .map(|grant| {
                rows::annotation(&GrantReplaced {
                    replaced_grant_id: grant.to_string(),
                })
            })
            .into_iter()
            .collect(),
        Outcome::Granted | Outcome::Revoked | Outcome::Demoted => vec![],
    }
}
