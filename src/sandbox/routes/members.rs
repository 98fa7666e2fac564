//! The organization's members.

use super::Call;
use crate::sandbox::json::OrganizationMemberJson;
use crate::sandbox::response::{self, ErrorResponse, Response};

const SCOPE: &str = "read_organizations";

pub(super) fn list(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    let organization = call.service.organization();
    let caller = call.caller(SCOPE, &organization)?;
    let url = call.url();
    let listing = call.listing(&url, call.behaviors.organization_member_paging);
    Ok(listing.render(organization.people(), |person| {
        OrganizationMemberJson::new(person, caller.user, caller.admin, &call.behaviors)
    }))
}

pub(super) fn get(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    let organization = call.service.organization();
    let caller = call.caller(SCOPE, &organization)?;
    let person = call.target.user.and_then(|user| organization.person(user));
    let person = person.ok_or_else(|| response::not_found("organization member"))?;
    Ok(Response::ok(&OrganizationMemberJson::new(
        person,
        caller.user,
        caller.admin,
        &call.behaviors,
    )))
}
