//! The organization's members. Admins change and remove them, except themselves.

use http::StatusCode;
use serde_json::Value;
use uuid::Uuid;

use super::{Call, Caller};
use crate::sandbox::json::OrganizationMemberJson;
use crate::sandbox::organization::{MemberRows, Organization, OrganizationRole, Person, SsoMode};
use crate::sandbox::response::{self, ErrorResponse, Response};

const READ: &str = "read_organizations";
const WRITE: &str = "write_organizations";

pub(super) fn list(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    let organization = call.service.organization();
    let caller = call.caller(READ, &organization)?;
    let lagging = call
        .service
        .stale_reads
        .people
        .rows(organization.id, &organization.people);
    let rows = lagging.as_deref().unwrap_or_else(|| organization.people());
    let url = call.url();
    let listing = call.listing(&url, call.behaviors.organization_member_paging);
    Ok(listing.render(rows, |person| document(call, caller, person)))
}

pub(super) fn get(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    let organization = call.service.organization();
    let caller = call.caller(READ, &organization)?;
    let stale_rows = &call.service.stale_reads.people;
    let person = call
        .target
        .user
        .and_then(|user| stale_rows.row(organization.id, user, &organization.people));
    let person = person.ok_or_else(not_found)?;
    Ok(Response::ok(&document(call, caller, &person)))
}

/// Changes the role, the sign-in requirement, or both.
pub(super) fn change(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    let mut organization = call.service.organization_mut();
    let (caller, before) = writable(call, &organization)?;
    let body = call.json_body()?;
    let role = match body.get("role").map(Value::as_str) {
        None => before.role,
        Some(role) => parse_role(role)?,
    };
    let sso_mode = match body.get("sso_mode").map(Value::as_str) {
        None => before.sso_mode,
        Some(sso_mode) => parse_sso_mode(sso_mode)?,
    };
    if body.get("role").is_none() && body.get("sso_mode").is_none() {
        return Err(invalid("Provide at least one of role, sso_mode"));
    }
    if role == OrganizationRole::Member {
        require_other_admin(&organization, before.id)?;
    }
    require_other_person(caller, before.id)?;
    let after = Person {
        role,
        sso_mode,
        ..before.clone()
    };
    let changed = (role, sso_mode) != (before.role, before.sso_mode);
    if changed {
        organization.add_person(after.clone());
        let stale_rows = &call.service.stale_reads.people;
        stale_rows.record(organization.id, after.id, Some(before), call.behaviors.write_lag);
    }
    Ok(Response::ok(&document(call, caller, &after)).with_applied(changed))
}

/// Removes the person from the organization, its teams, and the maintainers of its clusters.
pub(super) fn remove(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    let mut organization = call.service.organization_mut();
    let (caller, person) = writable(call, &organization)?;
    require_other_admin(&organization, person.id)?;
    require_other_person(caller, person.id)?;
    organization.remove_person(person.id, MemberRows::Dropped);
    let stale_rows = &call.service.stale_reads.people;
    stale_rows.record(organization.id, person.id, Some(person), call.behaviors.write_lag);
    Ok(Response::empty(StatusCode::NO_CONTENT).with_applied(true))
}

/// The member to change, if the caller may change members.
fn writable(call: &Call<'_>, organization: &Organization) -> Result<(Caller, Person), ErrorResponse> {
    let caller = call.admin(WRITE, organization)?;
    let person = call.target.user.and_then(|user| organization.person(user));
    let person = person.cloned().ok_or_else(not_found)?;
    Ok((caller, person))
}

fn require_other_admin(organization: &Organization, user: Uuid) -> Result<(), ErrorResponse> {
    let mut others = organization.people().iter().filter(|person| person.id != user);
    if organization.is_admin(user) && others.all(|person| person.role != OrganizationRole::Admin) {
        return Err(invalid("The organization must have at least one administrator"));
    }
    Ok(())
}

fn require_other_person(caller: Caller, user: Uuid) -> Result<(), ErrorResponse> {
    if caller.user == user {
        return Err(Response::message(
            StatusCode::FORBIDDEN,
            "You can't change your own membership",
        ));
    }
    Ok(())
}

pub(super) fn parse_role(role: Option<&str>) -> Result<OrganizationRole, ErrorResponse> {
    match role {
        Some("admin") => Ok(OrganizationRole::Admin),
        Some("member") => Ok(OrganizationRole::Member),
        _ => Err(invalid("Role must be one of: admin, member")),
    }
}

pub(super) fn parse_sso_mode(sso_mode: Option<&str>) -> Result<SsoMode, ErrorResponse> {
    match sso_mode {
        Some("required") => Ok(SsoMode::Required),
        Some("optional") => Ok(SsoMode::Optional),
        _ => Err(invalid("SSO mode must be one of: required, optional")),
    }
}

fn document<'p>(call: &Call<'_>, caller: Caller, person: &'p Person) -> OrganizationMemberJson<'p> {
    OrganizationMemberJson::new(person, caller.user, caller.admin, &call.behaviors)
}

fn invalid(message: &str) -> ErrorResponse {
    Response::message(StatusCode::UNPROCESSABLE_ENTITY, message)
}

fn not_found() -> ErrorResponse {
    response::not_found("organization member")
}
