//! Parses requests: ids into types, the limits of the protocol, the deadline.

use std::num::NonZeroUsize;

use tokio::time::Instant;
use tonic::Request;

use crate::governance::model::{Catalog, EntitlementId, Principal, ResourceId, ResourceKind, ResourceTypeInfo};
use crate::governance::{CallContext, GovernanceError, Lane};
use crate::proto::c1::connector::v2::{Entitlement, Resource, ResourceId as WireResourceId};

/// The maximum page size that the protocol permits (protocol reference, section 2).
const MAX_PAGE_SIZE: u32 = 250;

/// The caller's deadline. The server adds it to the extensions of a request.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(pub Instant);

/// A call on `lane` with the deadline of its request.
pub(crate) fn call<T>(request: &Request<T>, lane: Lane) -> CallContext {
    CallContext::new(lane).with_deadline(deadline(request))
}

pub(crate) fn deadline<T>(request: &Request<T>) -> Option<Instant> {
    request.extensions().get::<Deadline>().map(|deadline| deadline.0)
}

/// A call of a listing: on the lane of syncs, even without a sync id, so that listings never use the reserve for grants.
pub(crate) fn listing<T>(request: &Request<T>) -> CallContext {
    call(request, Lane::Sync)
}

pub(crate) fn invalid(field: &'static str, problem: impl Into<String>) -> GovernanceError {
    GovernanceError::Invalid {
        field,
        problem: problem.into(),
    }
}

/// The maximum number of rows of a page; `None` if the request leaves it to the connector.
///
/// # Errors
/// `Invalid` above the protocol's maximum.
pub(crate) fn page_size(requested: u32) -> Result<Option<NonZeroUsize>, GovernanceError> {
    if requested > MAX_PAGE_SIZE {
        return Err(invalid(
            "page_size",
            format!("a page holds at most {MAX_PAGE_SIZE} rows: ask for fewer, or for 0"),
        ));
    }
    Ok(NonZeroUsize::new(requested as usize))
}

pub(crate) fn resource_type(catalog: &Catalog, id: &str) -> Result<&'static ResourceTypeInfo, GovernanceError> {
    catalog
        .resource_type(id)
        .map_err(|problem| invalid("resource_type_id", problem))
}

pub(crate) fn resource_id(
    catalog: &Catalog,
    field: &'static str,
    id: Option<&WireResourceId>,
) -> Result<ResourceId, GovernanceError> {
    let id = id.ok_or_else(|| invalid(field, "the resource has no id"))?;
    catalog
        .resource(&id.resource_type, &id.resource)
        .map_err(|problem| invalid(field, problem))
}

/// The entitlement that a request names, by its id.
///
/// # Errors
/// `Invalid` for a wrong id, and for a resource that contradicts the id.
pub(crate) fn entitlement(
    catalog: &Catalog,
    entitlement: Option<&Entitlement>,
) -> Result<EntitlementId, GovernanceError> {
    let entitlement = entitlement.ok_or_else(|| invalid("entitlement", "the entitlement is missing"))?;
    let id = catalog
        .entitlement(&entitlement.id)
        .map_err(|problem| invalid("entitlement.id", problem))?;
    if let Some(named) = entitlement.resource.as_ref().and_then(|resource| resource.id.as_ref())
        && resource_id(catalog, "entitlement.resource.id", Some(named))? != id.resource
    {
        return Err(invalid(
            "entitlement.resource.id",
            "the entitlement's id names another team than its resource does",
        ));
    }
    Ok(id)
}

/// The principal that a request names, for a level of `entitlement` if that could be parsed.
///
/// # Errors
/// `Invalid` if principals of its type cannot hold the level, or if its id is wrong.
pub(crate) fn principal(
    catalog: &Catalog,
    entitlement: Option<EntitlementId>,
    principal: Option<&Resource>,
) -> Result<Principal, GovernanceError> {
    let id = principal
        .and_then(|resource| resource.id.as_ref())
        .ok_or_else(|| invalid("principal.id", "the principal has no id"))?;
    let resource_type = catalog
        .resource_type(&id.resource_type)
        .map_err(|problem| invalid("principal.id.resource_type", problem));
    if let Some(entitlement) = entitlement {
        let of = entitlement.resource.resource_type;
        let can_hold = |holder: &&ResourceTypeInfo| of.principal_kinds.contains(&holder.kind);
        if !resource_type.as_ref().is_ok_and(can_hold) {
            return Err(invalid("principal.id.resource_type", of.principal_rule));
        }
    }
    let parsed = match resource_type? {
        user if user.kind == ResourceKind::User => catalog.principal(&id.resource),
        other => catalog.resource(other.id, &id.resource).map(Principal::Resource),
    };
    parsed.map_err(|problem| invalid("principal.id.resource", problem))
}

/// Rejects a page token for a list that has one page.
///
/// # Errors
/// `Invalid` if there is a token.
pub(crate) fn reject_page_token(token: &str) -> Result<(), GovernanceError> {
    if token.is_empty() {
        return Ok(());
    }
    Err(invalid(
        "page_token",
        "this list has one page: start it again without a token",
    ))
}
