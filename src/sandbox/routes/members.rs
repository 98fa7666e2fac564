//! The organization's people.

use super::Call;
use crate::sandbox::answers::{self, Answer, Refusal};
use crate::sandbox::documents::MemberDocument;

const SCOPE: &str = "read_organizations";

pub(super) fn list(call: &Call<'_>) -> Result<Answer, Refusal> {
    let organization = call.service.organization();
    let caller = call.caller(SCOPE, &organization)?;
    let url = call.url();
    let listing = call.listing(&url, call.habits.organization_member_paging);
    Ok(listing.of(organization.people(), |person| {
        MemberDocument::new(person, caller.user, caller.admin, &call.habits)
    }))
}

pub(super) fn one(call: &Call<'_>) -> Result<Answer, Refusal> {
    let organization = call.service.organization();
    let caller = call.caller(SCOPE, &organization)?;
    let person = call.target.user.and_then(|user| organization.person(user));
    let person = person.ok_or_else(|| answers::not_found("organization member"))?;
    Ok(Answer::ok(&MemberDocument::new(
        person,
        caller.user,
        caller.admin,
        &call.habits,
    )))
}
