//! The token and its owner, and the endpoints that require no token.

use http::StatusCode;
use serde_json::json;

use super::Call;
use crate::sandbox::json::{self, UserJson};
use crate::sandbox::response::{self, ErrorResponse, Response};

pub(super) fn root(call: &Call<'_>) -> Response {
    let timestamp = call.service.clock.now().as_second();
    Response::ok(&json!({ "message": "👋 from the Buildkite sandbox", "timestamp": timestamp }))
}

pub(super) fn meta() -> Response {
    // Addresses that are reserved for documentation, with and without a range, as in Buildkite's response.
    Response::ok(&json!({ "webhook_ips": ["192.0.2.0/24", "198.51.100.7", "2001:db8::/32"] }))
}

/// Requires no scope.
pub(super) fn access_token(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    let token = call.token()?;
    let organization = call.service.organization();
    let owner = organization
        .current_or_former_person(token.owner)
        .ok_or_else(response::unauthenticated)?;
    Ok(Response::ok(&json::access_token(
        token,
        owner,
        call.behaviors.expires_at,
    )))
}

/// Requires no scope. The token is invalid from the next request on.
pub(super) fn revoke_access_token(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    call.service.tokens.revoke_by_id(call.token()?.uuid);
    Ok(Response::empty(StatusCode::NO_CONTENT).with_applied(true))
}

pub(super) fn user(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    let token = call.with_scope("read_user")?;
    let organization = call.service.organization();
    let owner = organization
        .current_or_former_person(token.owner)
        .ok_or_else(response::unauthenticated)?;
    Ok(Response::ok(&UserJson::new(owner)))
}
