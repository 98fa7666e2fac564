//! The organization.

use super::Call;
use crate::sandbox::behaviors::{Paging, RateLimitAccess};
use crate::sandbox::json;
use crate::sandbox::organization::Organization;
use crate::sandbox::response::{self, ErrorResponse, Response};

const SCOPE: &str = "read_organizations";

/// Lists only what the token has access to.
pub(super) fn list(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    let token = call.with_scope(SCOPE)?;
    let organization = call.service.organization();
    let reached = token.reaches_organization && organization.person(token.owner).is_some();
    let rows: Vec<&Organization> = reached.then_some(&*organization).into_iter().collect();
    let document = |row: &&Organization| json::organization(row, &call.service.origin);
    Ok(call.listing(&call.url(), Paging::Paged).render(&rows, document))
}

pub(super) fn get(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    let organization = call.service.organization();
    call.caller(SCOPE, &organization)?;
    Ok(Response::ok(&json::organization(&organization, &call.service.origin)))
}

pub(super) fn rate_limit(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    call.caller(SCOPE, &call.service.organization())?;
    match call.behaviors.rate_limit_access {
        RateLimitAccess::Refused => Err(response::missing_scope("read_accounts")),
        RateLimitAccess::ReadOrganizations => Ok(Response::ok(
            &call.service.limits.rate_limit_json(call.behaviors.reset_rounding),
        )),
    }
}
