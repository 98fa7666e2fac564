//! Agents.

use super::Call;
use crate::sandbox::behaviors::Paging;
use crate::sandbox::object_json;
use crate::sandbox::response::{self, ErrorResponse, Response};

const SCOPE: &str = "read_agents";

pub(super) fn list(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    let organization = call.service.organization();
    call.caller(SCOPE, &organization)?;
    let url = call.url();
    let listing = call.listing(&url, Paging::Paged);
    Ok(listing.render(organization.agents(), |agent| {
        object_json::agent(&organization, &call.service.origin, agent)
    }))
}

pub(super) fn get(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    let organization = call.service.organization();
    call.caller(SCOPE, &organization)?;
    let agent = call.target.object_id().and_then(|id| organization.agents.get(id));
    let agent = agent.ok_or_else(|| response::not_found("agent"))?;
    let document = object_json::agent(&organization, &call.service.origin, agent);
    Ok(Response::ok(&document))
}
