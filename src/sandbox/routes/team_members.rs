//! A team's members. Everyone who can see the team can read them; admins and the team's maintainers can change them.

use http::StatusCode;
use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::Call;
use super::teams::visible_team;
use crate::sandbox::behaviors::{DeleteAbsent, Echo, LastMaintainer, PatchAbsent, PostExisting, PostOutsider};

use crate::sandbox::json::TeamMemberJson;
use crate::sandbox::organization::Organization;
use crate::sandbox::response::{self, ErrorResponse, Response};
use crate::sandbox::target;
use crate::sandbox::team::{Membership, Team, TeamRole};

const READ: &str = "read_teams";
const WRITE: &str = "write_teams";

pub(super) fn list(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    let organization = call.service.organization();
    let (team, _) = visible_team(call, READ, &organization)?;
    let lagging = call.service.stale_reads.team_members.rows(team.id, &team.members);
    let rows = lagging.as_deref().unwrap_or_else(|| team.members());
    let url = call.url();
    let listing = call.listing(&url, call.behaviors.team_member_paging);
    Ok(listing.render(rows, |row| TeamMemberJson::new(&organization, row)))
}

pub(super) fn get(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    let organization = call.service.organization();
    let (team, _) = visible_team(call, READ, &organization)?;
    let row = call
        .target
        .user
        .and_then(|user| call.service.stale_reads.team_members.row(team.id, user, &team.members));
    let row = row.ok_or_else(member_not_found)?;
    Ok(Response::ok(&TeamMemberJson::new(&organization, &row)))
}

pub(super) fn add(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    let mut organization = call.service.organization_mut();
    let team = writable_team(call, &organization)?;
    let body = call.json_body()?;
    let user = body.get("user_id").and_then(Value::as_str).and_then(target::parse_uuid);
    let user = user.ok_or_else(|| response::validation_failed("User must exist"))?;
    let role = parse_role(&body)?;
    if organization.person(user).is_none() {
        return Err(match call.behaviors.post_outsider {
            PostOutsider::NotFound => response::not_found("user"),
            PostOutsider::Unprocessable => response::validation_failed("User must be a member of the organization"),
            PostOutsider::Forbidden => response::forbidden(),
        });
    }
    let Some(present) = organization.team(team).and_then(|team| team.member(user)).copied() else {
        return write(call, &mut organization, (team, user, role), StatusCode::CREATED);
    };
    match call.behaviors.post_existing {
        PostExisting::Unprocessable => Err(response::validation_failed("User has already been added to this team")),
        PostExisting::Conflict => Err(Response::message(
            StatusCode::CONFLICT,
            "User has already been added to this team",
        )),
        PostExisting::Unchanged => Ok(write_response(
            call,
            &organization,
            StatusCode::OK,
            Some(present),
            present,
        )),
        PostExisting::Upsert => write(call, &mut organization, (team, user, role), StatusCode::CREATED),
    }
}

pub(super) fn change(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    let mut organization = call.service.organization_mut();
    let team = writable_team(call, &organization)?;
    let role = parse_role(&call.json_body()?)?;
    let user = call.target.user.filter(|&user| is_member(&organization, team, user));
    let user = user.ok_or_else(|| match call.behaviors.patch_absent {
        PatchAbsent::NotFound => member_not_found(),
        PatchAbsent::Unprocessable => response::validation_failed("User is not a member of this team"),
    })?;
    write(call, &mut organization, (team, user, role), StatusCode::OK)
}

pub(super) fn remove(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    let mut organization = call.service.organization_mut();
    let team = writable_team(call, &organization)?;
    let Some(user) = call.target.user.filter(|&user| is_member(&organization, team, user)) else {
        return match call.behaviors.delete_absent {
            DeleteAbsent::NotFound => Err(member_not_found()),
            DeleteAbsent::NoContent => Ok(Response::empty(StatusCode::NO_CONTENT)),
            DeleteAbsent::Unprocessable => Err(Response::message(
                StatusCode::UNPROCESSABLE_ENTITY,
                "User is not a member of this team",
            )),
        };
    };
    require_other_maintainer(call, &organization, team, user)?;
    let before = organization.team_mut(team).and_then(|team| team.remove_member(user));
    call.service
        .stale_reads
        .team_members
        .record(team, user, before, call.behaviors.write_lag);
    Ok(Response::empty(StatusCode::NO_CONTENT).with_applied(true))
}

/// Writes the row and returns the response that the behaviors determine.
fn write(
    call: &Call<'_>,
    organization: &mut Organization,
    (team, user, role): (Uuid, Uuid, TeamRole),
    status: StatusCode,
) -> Result<Response, ErrorResponse> {
    if role == TeamRole::Member {
        require_other_maintainer(call, organization, team, user)?;
    }
    let target = organization.team_mut(team).ok_or_else(|| response::not_found("team"))?;
    let before = target.member(user).copied();
    let row = target.set_member(user, role, Timestamp::now());
    if before == Some(row) {
        return Ok(write_response(call, organization, status, before, row));
    }
    call.service
        .stale_reads
        .team_members
        .record(team, user, before, call.behaviors.write_lag);
    Ok(write_response(call, organization, status, before, row).with_applied(true))
}

fn write_response(
    call: &Call<'_>,
    organization: &Organization,
    status: StatusCode,
    before: Option<Membership>,
    row: Membership,
) -> Response {
    match call.behaviors.echo {
        Echo::Full => Response::json(status, &TeamMemberJson::new(organization, &row)),
        Echo::Empty => Response::empty(status),
        Echo::WithoutRole => Response::json(status, &TeamMemberJson::new(organization, &row).without_role()),
        Echo::Lagging => {
            let shown = before.unwrap_or(Membership {
                role: TeamRole::Member,
                ..row
            });
            Response::json(status, &TeamMemberJson::new(organization, &shown))
        }
    }
}

/// The id of the team to write to, if the caller may manage its members.
fn writable_team(call: &Call<'_>, organization: &Organization) -> Result<Uuid, ErrorResponse> {
    let (team, caller) = visible_team(call, WRITE, organization)?;
    if caller.admin || team.role_of(caller.user) == Some(TeamRole::Maintainer) {
        Ok(team.id)
    } else {
        Err(response::forbidden())
    }
}

fn require_other_maintainer(
    call: &Call<'_>,
    organization: &Organization,
    team: Uuid,
    user: Uuid,
) -> Result<(), ErrorResponse> {
    let last = organization
        .team(team)
        .is_some_and(|team: &Team| team.is_last_maintainer(user));
    if last && call.behaviors.last_maintainer == LastMaintainer::Refused {
        return Err(response::validation_failed("A team must have at least one maintainer"));
    }
    Ok(())
}

fn is_member(organization: &Organization, team: Uuid, user: Uuid) -> bool {
    organization.team(team).is_some_and(|team| team.member(user).is_some())
}

pub(super) fn parse_role(body: &Value) -> Result<TeamRole, ErrorResponse> {
    match body.get("role").and_then(Value::as_str) {
        Some("member") => Ok(TeamRole::Member),
        Some("maintainer") => Ok(TeamRole::Maintainer),
        _ => Err(response::validation_failed("Role must be one of: member, maintainer")),
    }
}

fn member_not_found() -> ErrorResponse {
    response::not_found("team member")
}
