//! The teams that the caller can see. Only admins and a secret team's own members see it, and the list does not show
//! other callers that it is missing. Only admins create, change and delete teams.

use http::StatusCode;
use jiff::Timestamp;
use serde_json::Value;

use super::{Call, Caller, team_members};
use crate::sandbox::behaviors::{TeamEcho, TeamsDisabled};
use crate::sandbox::json::TeamJson;
use crate::sandbox::organization::Organization;
use crate::sandbox::response::{self, ErrorResponse, Response};
use crate::sandbox::target;
use crate::sandbox::team::{Privacy, Team};

const READ: &str = "read_teams";
const WRITE: &str = "write_teams";

pub(super) fn list(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    let organization = call.service.organization();
    let caller = call.caller(READ, &organization)?;
    let wanted = call.query.parameter("user_id").map(target::parse_uuid);
    let of_user = |team: &&Team| match wanted {
        None => true,
        Some(user) => user.is_some_and(|user| team.member(user).is_some()),
    };
    let lagging = call
        .service
        .stale_reads
        .teams
        .rows(organization.id, &organization.teams);
    let teams = lagging.as_deref().unwrap_or_else(|| organization.teams());
    let rows: Vec<&Team> = match call.behaviors.teams_disabled {
        TeamsDisabled::No => teams
            .iter()
            .filter(|team| caller.can_see(team))
            .filter(of_user)
            .collect(),
        TeamsDisabled::Empty => Vec::new(),
        TeamsDisabled::Forbidden => return Err(response::forbidden()),
        TeamsDisabled::NotFound => return Err(Response::message(StatusCode::NOT_FOUND, "Not Found")),
    };
    let url = call.url();
    Ok(call
        .listing(&url, call.behaviors.team_paging)
        .render(&rows, |team| TeamJson::new(&organization, team)))
}

pub(super) fn get(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    let organization = call.service.organization();
    let caller = call.caller(READ, &organization)?;
    require_teams(call)?;
    let stale_rows = &call.service.stale_reads.teams;
    let team = call
        .target
        .team
        .and_then(|team| stale_rows.row(organization.id, team, &organization.teams))
        .filter(|team| caller.can_see(team))
        .ok_or_else(not_found)?;
    Ok(Response::ok(&TeamJson::new(&organization, &team)))
}

pub(super) fn create(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    let mut organization = call.service.organization_mut();
    let caller = call.admin(WRITE, &organization)?;
    require_teams(call)?;
    let body = call.json_body()?;
    let name = body.get("name").and_then(Value::as_str).unwrap_or_default();
    let team = Team {
        created_by: Some(caller.user),
        created_at: Timestamp::now(),
        ..Team::new(&slug_of(name), name)
    };
    write(call, &mut organization, team, &body)
}

pub(super) fn update(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    let mut organization = call.service.organization_mut();
    call.admin(WRITE, &organization)?;
    let (team, _) = visible_team(call, WRITE, &organization)?;
    let team = team.clone();
    let body = call.json_body()?;
    write(call, &mut organization, team, &body)
}

/// Deletes a team. Its UUID never names a team again.
pub(super) fn delete(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    let mut organization = call.service.organization_mut();
    call.admin(WRITE, &organization)?;
    let (team, _) = visible_team(call, WRITE, &organization)?;
    let id = team.id;
    let before = organization.remove_team(id);
    let stale_rows = &call.service.stale_reads.teams;
    stale_rows.record(organization.id, id, before, call.behaviors.write_lag);
    Ok(Response::empty(StatusCode::NO_CONTENT).with_applied(true))
}

/// Applies the request's body to a new or existing team.
fn write(
    call: &Call<'_>,
    organization: &mut Organization,
    mut team: Team,
    body: &Value,
) -> Result<Response, ErrorResponse> {
    apply(&mut team, body)?;
    let mut others = organization.teams().iter().filter(|other| other.id != team.id);
    if others.any(|other| other.slug == team.slug || other.name == team.name) {
        return Err(response::validation_failed("Name has already been taken"));
    }
    let before = organization.team(team.id).cloned();
    let status = before.as_ref().map_or(StatusCode::CREATED, |_| StatusCode::OK);
    let id = organization.add_team(team);
    let stale_rows = &call.service.stale_reads.teams;
    stale_rows.record(organization.id, id, before, call.behaviors.write_lag);
    let team = organization.team(id).ok_or_else(not_found)?;
    Ok(match call.behaviors.team_echo {
        TeamEcho::Full => Response::json(status, &TeamJson::new(organization, team)),
        TeamEcho::Request => Response::json(status, body),
    }
    .with_applied(true))
}

/// Changes the fields that the body names.
fn apply(team: &mut Team, body: &Value) -> Result<(), ErrorResponse> {
    let invalid = |field: &str| response::validation_failed(&format!("{field} is invalid"));
    if let Some(name) = body.get("name") {
        name.as_str().unwrap_or_default().trim().clone_into(&mut team.name);
    }
    if team.name.is_empty() {
        return Err(response::validation_failed("Name can't be blank"));
    }
    match body.get("description") {
        None => {}
        Some(Value::Null) => team.description = None,
        Some(Value::String(description)) => team.description = Some(description.clone()),
        Some(_) => return Err(invalid("Description")),
    }
    if let Some(privacy) = body.get("privacy") {
        team.privacy = match privacy.as_str() {
            Some("visible") => Privacy::Visible,
            Some("secret") => Privacy::Secret,
            _ => return Err(invalid("Privacy")),
        };
    }
    if body.get("default_member_role").is_some() {
        let role = serde_json::json!({ "role": body.get("default_member_role") });
        team.default_member_role = team_members::parse_role(&role)?;
    }
    let permissions = &mut team.permissions;
    for (field, flag) in [
        ("is_default_team", &mut team.default),
        ("members_can_create_pipelines", &mut permissions.create_pipelines),
        ("members_can_create_suites", &mut permissions.create_suites),
        ("members_can_create_registries", &mut permissions.create_registries),
        ("members_can_destroy_registries", &mut permissions.destroy_registries),
        ("members_can_destroy_packages", &mut permissions.destroy_packages),
    ] {
        if let Some(value) = body.get(field) {
            *flag = value.as_bool().ok_or_else(|| invalid(field))?;
        }
    }
    Ok(())
}

/// The slug of a new team: the letters and digits of its name, with hyphens between its words.
fn slug_of(name: &str) -> String {
    let lower = name.to_lowercase();
    let words = lower
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-")
}

/// The call's team, if the caller can see it.
pub(super) fn visible_team<'o>(
    call: &Call<'_>,
    scope: &str,
    organization: &'o Organization,
) -> Result<(&'o Team, Caller), ErrorResponse> {
    let caller = call.caller(scope, organization)?;
    require_teams(call)?;
    let team = call
        .target
        .team
        .and_then(|team| organization.team(team))
        .filter(|team| caller.can_see(team));
    team.map(|team| (team, caller)).ok_or_else(not_found)
}

/// Returns an error if teams are disabled.
fn require_teams(call: &Call<'_>) -> Result<(), ErrorResponse> {
    match call.behaviors.teams_disabled {
        TeamsDisabled::No => Ok(()),
        TeamsDisabled::Forbidden => Err(response::forbidden()),
        TeamsDisabled::Empty | TeamsDisabled::NotFound => Err(not_found()),
    }
}

fn not_found() -> ErrorResponse {
    response::not_found("team")
}

impl Caller {
    fn can_see(self, team: &Team) -> bool {
        self.admin || team.privacy == Privacy::Visible || team.member(self.user).is_some()
    }
}
