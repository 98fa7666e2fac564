//! Package registries. Admins see all of them, others those that their teams have access to.

use super::{Call, Caller, require_feature};
use crate::sandbox::object_json;
use crate::sandbox::objects::Registry;
use crate::sandbox::organization::Organization;
use crate::sandbox::response::{self, ErrorResponse, Response};

const SCOPE: &str = "read_registries";

pub(super) fn list(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    let organization = call.service.organization();
    let caller = call.caller(SCOPE, &organization)?;
    require_feature(call.behaviors.package_registries)?;
    let registries = organization.registries().iter();
    let rows: Vec<&Registry> = registries
        .filter(|registry| can_see(caller, &organization, registry))
        .collect();
    let url = call.url();
    Ok(call
        .listing(&url, call.behaviors.registry_paging)
        .render(&rows, |registry| {
            object_json::registry(&organization, &call.service.origin, registry)
        }))
}

pub(super) fn get(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    let organization = call.service.organization();
    let caller = call.caller(SCOPE, &organization)?;
    require_feature(call.behaviors.package_registries)?;
    let slug = call.target.object.as_deref();
    let registry = slug.and_then(|slug| organization.registry_by_slug(slug));
    let registry = registry.filter(|registry| can_see(caller, &organization, registry));
    let registry = registry.ok_or_else(|| response::not_found("registry"))?;
    Ok(Response::ok(&object_json::registry(
        &organization,
        &call.service.origin,
        registry,
    )))
}

fn can_see(caller: Caller, organization: &Organization, registry: &Registry) -> bool {
    let mut teams = registry.teams.iter().filter_map(|team| organization.team(*team));
    caller.admin || teams.any(|team| team.member(caller.user).is_some())
}
