//! The organization itself.

use super::Call;
use crate::sandbox::answers::{self, Answer, Refusal};
use crate::sandbox::documents;
use crate::sandbox::habits::{Paging, RateLimitAccess};
use crate::sandbox::organization::Organization;

const SCOPE: &str = "read_organizations";

/// Only what the token reaches.
pub(super) fn list(call: &Call<'_>) -> Result<Answer, Refusal> {
    let token = call.with_scope(SCOPE)?;
    let organization = call.service.organization();
    let reached = token.reaches_organization && organization.person(token.owner).is_some();
    let rows: Vec<&Organization> = reached.then_some(&*organization).into_iter().collect();
    let document = |row: &&Organization| documents::organization(row, &call.service.origin);
    Ok(call.listing(&call.url(), Paging::Paged).of(&rows, document))
}

pub(super) fn one(call: &Call<'_>) -> Result<Answer, Refusal> {
    let organization = call.service.organization();
    call.caller(SCOPE, &organization)?;
    Ok(Answer::ok(&documents::organization(
        &organization,
        &call.service.origin,
    )))
}

pub(super) fn rate_limit(call: &Call<'_>) -> Result<Answer, Refusal> {
    call.caller(SCOPE, &call.service.organization())?;
    match call.habits.rate_limit_access {
        RateLimitAccess::Refused => Err(answers::missing_scope("read_accounts")),
        RateLimitAccess::ReadOrganizations => Ok(Answer::ok(&call.service.limits.document(call.habits.reset_rounding))),
    }
}
