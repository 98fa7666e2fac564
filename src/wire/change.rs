//! Grants and revokes whose entitlement and principal were parsed from messages.

use std::sync::Arc;

use crate::governance::GovernanceError;
use crate::governance::model::{EntitlementId, Principal};
use crate::governance::provisioning::{
    MalformedRequest, OperationKind, Provisioning, ProvisioningResult, RequestContext,
};

/// Makes the change.
///
/// # Errors
/// Those of the change. One whose entitlement or principal is invalid is rejected, and recorded like any other rejection.
pub(crate) async fn apply(
    provisioning: &Arc<Provisioning>,
    operation: OperationKind,
    entitlement: Result<EntitlementId, GovernanceError>,
    principal: Result<Principal, GovernanceError>,
    context: RequestContext,
) -> Result<ProvisioningResult, GovernanceError> {
    let (entitlement, principal, error) = match (entitlement, principal) {
        (Ok(entitlement), Ok(principal)) => {
            return match operation {
                OperationKind::Grant => provisioning.grant(entitlement, principal, context).await,
                OperationKind::Revoke => provisioning.revoke(entitlement, principal, context).await,
            };
        }
        (Err(error), principal) => (None, principal.ok(), error),
        (Ok(entitlement), Err(error)) => (Some(entitlement), None, error),
    };
    let malformed = MalformedRequest {
        operation,
        entitlement,
        principal,
    };
    Err(provisioning.record_rejected_request(malformed, context, error).await)
}
