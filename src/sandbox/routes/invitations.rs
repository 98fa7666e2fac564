//! Invitations. Only admins read and send them. The list has the pending ones only.

use std::collections::HashSet;

use http::StatusCode;
use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::members::{parse_role, parse_sso_mode};
use super::{Call, Caller, team_members};
use crate::sandbox::behaviors::{InviteAgain, SingleSignOn};
use crate::sandbox::cursor_pages::CursorLinks;
use crate::sandbox::invitations::{Invitation, InvitationState, InvitationTeam};
use crate::sandbox::object_json;
use crate::sandbox::organization::{Organization, OrganizationRole, SsoMode};
use crate::sandbox::response::{self, ErrorResponse, Response};
use crate::sandbox::target;

const READ: &str = "read_organization_invitations";
const WRITE: &str = "write_organization_invitations";

pub(super) fn list(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    let organization = call.service.organization();
    call.admin(READ, &organization)?;
    let stale_rows = &call.service.stale_reads.invitations;
    let lagging = stale_rows.rows(organization.id, &organization.invitations);
    let rows = lagging.as_deref().unwrap_or_else(|| organization.invitations());
    let listing = call.cursor_listing(CursorLinks::NextOnly);
    listing.render(rows, |row| {
        row.is_pending()
            .then(|| object_json::invitation(&organization, &call.service.origin, row))
    })
}

/// Returns an invitation in any state.
pub(super) fn get(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    let organization = call.service.organization();
    call.admin(READ, &organization)?;
    let stale_rows = &call.service.stale_reads.invitations;
    let row = call
        .target
        .object_id()
        .and_then(|id| stale_rows.row(organization.id, id, &organization.invitations));
    let row = row.ok_or_else(not_found)?;
    let document = object_json::invitation(&organization, &call.service.origin, &row);
    Ok(Response::ok(&document))
}

/// Invites every address of the request, or none of them.
pub(super) fn create(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    let mut organization = call.service.organization_mut();
    let caller = call.admin(WRITE, &organization)?;
    let body = call.json_body()?;
    // Everything is checked before the first invitation is made.
    let template = parse_template(call, &organization, &body)?;
    let emails = parse_emails(&body)?;
    for email in &emails {
        if organization.person_by_email(email).is_some() {
            return Err(invalid(&format!("{email} is already a member of this organization")));
        }
        let pending = organization.pending_invitation(email).is_some();
        if pending && call.behaviors.invite_again == InviteAgain::Unprocessable {
            return Err(invalid(&format!("{email} has already been invited")));
        }
    }
    let pending = organization.invitations().iter().filter(|row| row.is_pending()).count();
    if pending + emails.len() > organization.invitation_quota {
        return Err(invalid("Too many pending invitations"));
    }
    let mut documents = Vec::with_capacity(emails.len());
    for email in &emails {
        let invitation = template.invitation(email, caller);
        documents.push(object_json::invitation(
            &organization,
            &call.service.origin,
            &invitation,
        ));
        let id = organization.add_invitation(invitation);
        let stale_rows = &call.service.stale_reads.invitations;
        stale_rows.record(organization.id, id, None, call.behaviors.write_lag);
    }
    Ok(Response::json(StatusCode::CREATED, &documents).with_applied(true))
}

pub(super) fn revoke(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    let mut organization = call.service.organization_mut();
    let caller = call.admin(WRITE, &organization)?;
    let row = call.target.object_id().and_then(|id| organization.invitation(id));
    let before = row.cloned().ok_or_else(not_found)?;
    if !before.is_pending() {
        return Err(invalid(&format!("The invitation is already {}", before.state.name())));
    }
    let state = InvitationState::Revoked {
        at: Timestamp::now(),
        by: caller.user,
    };
    organization.set_invitation_state(before.id, state);
    let stale_rows = &call.service.stale_reads.invitations;
    stale_rows.record(organization.id, before.id, Some(before), call.behaviors.write_lag);
    Ok(Response::empty(StatusCode::NO_CONTENT).with_applied(true))
}

/// What the invitations of one request have in common.
struct Template {
    role: OrganizationRole,
    sso_mode: SsoMode,
    teams: Vec<InvitationTeam>,
}

impl Template {
    fn invitation(&self, email: &str, caller: Caller) -> Invitation {
        Invitation {
            role: self.role,
            sso_mode: self.sso_mode,
            teams: self.teams.clone(),
            created_by: Some(caller.user),
            ..Invitation::new(email)
        }
    }
}

fn parse_template(call: &Call<'_>, organization: &Organization, body: &Value) -> Result<Template, ErrorResponse> {
    let role = match body.get("role") {
        None => OrganizationRole::Member,
        Some(role) => parse_role(role.as_str())?,
    };
    let sso_mode = match (body.get("sso_mode"), call.behaviors.single_sign_on) {
        (None, SingleSignOn::Off) => SsoMode::Optional,
        (Some(sso_mode), SingleSignOn::On) => parse_sso_mode(sso_mode.as_str())?,
        (None, SingleSignOn::On) => return Err(invalid("sso_mode is required while SSO is enabled")),
        (Some(_), SingleSignOn::Off) => return Err(invalid("sso_mode can't be set while SSO is disabled")),
    };
    let teams = body.get("teams").unwrap_or(&Value::Null);
    let rows = match teams {
        Value::Null => &[],
        Value::Array(rows) => rows.as_slice(),
        _ => return Err(invalid("teams must be a list")),
    };
    let mut teams = Vec::with_capacity(rows.len());
    let mut seen = HashSet::new();
    for row in rows {
        let team = parse_team(organization, row)?;
        if !seen.insert(team.team) {
            return Err(invalid("A team is assigned more than once"));
        }
        teams.push(team);
    }
    Ok(Template { role, sso_mode, teams })
}

fn parse_team(organization: &Organization, row: &Value) -> Result<InvitationTeam, ErrorResponse> {
    let id: Option<Uuid> = row.get("id").and_then(Value::as_str).and_then(target::parse_uuid);
    let team = id.and_then(|id| organization.team(id));
    let team = team.ok_or_else(|| invalid("A team does not exist"))?.id;
    let role = team_members::parse_role(row)?;
    Ok(InvitationTeam { team, role })
}

/// The addresses. Those that differ in case only are one.
fn parse_emails(body: &Value) -> Result<Vec<String>, ErrorResponse> {
    let rows = body.get("emails").and_then(Value::as_array);
    let rows = rows.filter(|rows| !rows.is_empty());
    let mut emails: Vec<String> = Vec::new();
    for row in rows.ok_or_else(|| invalid("emails can't be blank"))? {
        let email = row.as_str().filter(|text| {
            let name_and_host = text.split_once('@');
            name_and_host.is_some_and(|(name, host)| !name.is_empty() && !host.is_empty() && !host.contains('@'))
        });
        let email = email.ok_or_else(|| invalid("An email is invalid"))?;
        if !emails.iter().any(|known| known.eq_ignore_ascii_case(email)) {
            emails.push(email.to_owned());
        }
    }
    Ok(emails)
}

fn invalid(message: &str) -> ErrorResponse {
    Response::message(StatusCode::UNPROCESSABLE_ENTITY, message)
}

fn not_found() -> ErrorResponse {
    response::not_found("invitation")
}
