//! The audit log. It needs a plan that has it, and an admin.

use super::{Call, require_feature};
use crate::sandbox::cursor_pages::CursorLinks;
use crate::sandbox::object_json;
use crate::sandbox::organization::Organization;
use crate::sandbox::response::{self, ErrorResponse, Response};

const SCOPE: &str = "read_audit_events";

pub(super) fn list(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    let organization = call.service.organization();
    check(call, &organization)?;
    let listing = call.cursor_listing(CursorLinks::BothWays);
    listing.render(organization.audit_events(), |event| {
        Some(object_json::audit_event(&organization, &call.service.origin, event))
    })
}

pub(super) fn get(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    let organization = call.service.organization();
    check(call, &organization)?;
    let event = call.target.object_id().and_then(|id| organization.audit_events.get(id));
    let event = event.ok_or_else(|| response::not_found("audit event"))?;
    let document = object_json::audit_event(&organization, &call.service.origin, event);
    Ok(Response::ok(&document))
}

fn check(call: &Call<'_>, organization: &Organization) -> Result<(), ErrorResponse> {
    call.admin(SCOPE, organization)?;
    require_feature(call.behaviors.audit_log)
}
