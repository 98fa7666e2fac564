//! What a caller sent, read at the edge: ids into types, limits of the contract, the deadline.

use std::num::NonZeroUsize;

use tokio::time::Instant;
use tonic::Request;

use crate::governance::model::{Catalog, EntitlementId, Principal, ResourceId, ResourceKind, ResourceTypeInfo};
use crate::governance::{CallContext, GovernanceError, Lane};
use crate::proto::c1::connector::v2::{Entitlement, Resource, ResourceId as WireResourceId};

/// The largest page that may be asked for (protocol reference, section 2).
const LARGEST_PAGE: u32 = 250;

/// When the caller stops waiting; put into a request's extensions by the server.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(pub Instant);

/// A call on `lane` that ends when its caller stops waiting.
pub(crate) fn call<T>(request: &Request<T>, lane: Lane) -> CallContext {
    CallContext::new(lane).with_deadline(deadline(request))
}

pub(crate) fn deadline<T>(request: &Request<T>) -> Option<Instant> {
    request.extensions().get::<Deadline>().map(|deadline| deadline.0)
}

/// A call that lists: on the lane of syncs, also where it names none, so that listings never spend what is kept for grants.
pub(crate) fn listing<T>(request: &Request<T>) -> CallContext {
    call(request, Lane::Sync)
}

pub(crate) fn invalid(field: &'static str, problem: impl Into<String>) -> GovernanceError {
    GovernanceError::Invalid {
        field,
        problem: problem.into(),
    }
}

/// The most rows that a page may hold; none where the request leaves that to us.
pub(crate) fn page_size(asked: u32) -> Result<Option<NonZeroUsize>, GovernanceError> {
    if asked > LARGEST_PAGE {
        return Err(invalid(
            "page_size",
            format!("a page holds at most {LARGEST_PAGE} rows: ask for fewer, or for 0"),
        ));
    }
    Ok(NonZeroUsize::new(asked as usize))
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

/// The entitlement that a request names: its id alone counts, and a resource that contradicts it is refused.
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
            "the entitlement's id names another team than its resource",
        ));
    }
    Ok(id)
}

/// The principal that a request names, which must be a `user`.
pub(crate) fn principal(catalog: &Catalog, principal: Option<&Resource>) -> Result<Principal, GovernanceError> {
    let id = principal
        .and_then(|resource| resource.id.as_ref())
        .ok_or_else(|| invalid("principal.id", "the principal has no id"))?;
    let resource_type = catalog.resource_type(&id.resource_type).ok();
    if resource_type.is_none_or(|resource_type| resource_type.kind != ResourceKind::User) {
        return Err(invalid(
            "principal.id.resource_type",
            "only a `user` can hold a team role",
        ));
    }
    catalog
        .principal(&id.resource)
        .map_err(|problem| invalid("principal.id.resource", problem))
}

/// Refuses a token for a list that has one page only.
pub(crate) fn no_page(token: &str) -> Result<(), GovernanceError> {
    if token.is_empty() {
        return Ok(());
    }
    Err(invalid(
        "page_token",
        "this list has one page: start it again without a token",
    ))
}
