//! Who is in a team: read by anybody who is shown the team, written by admins and by the team's maintainers.

use http::StatusCode;
use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::Call;
use super::teams::shown;
use crate::sandbox::answers::{self, Answer, Refusal};
use crate::sandbox::documents::TeamMemberDocument;
use crate::sandbox::endpoint;
use crate::sandbox::habits::{DeleteAbsent, Echo, LastMaintainer, PatchAbsent, PostExisting, PostOutsider};
use crate::sandbox::organization::{Membership, Organization, Team, TeamRole};

const READ: &str = "read_teams";
const WRITE: &str = "write_teams";

pub(super) fn list(call: &Call<'_>) -> Result<Answer, Refusal> {
    let organization = call.service.organization();
    let (team, _) = shown(call, READ, &organization)?;
    let lagging = call.service.shadows.members(team);
    let rows = lagging.as_deref().unwrap_or_else(|| team.members());
    let url = call.url();
    let listing = call.listing(&url, call.habits.team_member_paging);
    Ok(listing.of(rows, |row| TeamMemberDocument::new(&organization, row)))
}

pub(super) fn one(call: &Call<'_>) -> Result<Answer, Refusal> {
    let organization = call.service.organization();
    let (team, _) = shown(call, READ, &organization)?;
    let row = call
        .target
        .user
        .and_then(|user| call.service.shadows.member(team, user));
    let row = row.ok_or_else(no_member)?;
    Ok(Answer::ok(&TeamMemberDocument::new(&organization, &row)))
}

pub(super) fn add(call: &Call<'_>) -> Result<Answer, Refusal> {
    let mut organization = call.service.organization_mut();
    let team = writable(call, &organization)?;
    let body = body(call)?;
    let user = body.get("user_id").and_then(Value::as_str).and_then(endpoint::uuid);
    let user = user.ok_or_else(|| answers::validation_failed("User must exist"))?;
    let role = role(&body)?;
    if organization.person(user).is_none() {
        return Err(match call.habits.post_outsider {
            PostOutsider::NotFound => answers::not_found("user"),
            PostOutsider::Unprocessable => answers::validation_failed("User must be a member of the organization"),
            PostOutsider::Forbidden => answers::forbidden(),
        });
    }
    let Some(present) = organization.team(team).and_then(|team| team.member(user)).copied() else {
        return write(call, &mut organization, (team, user, role), StatusCode::CREATED);
    };
    match call.habits.post_existing {
        PostExisting::Unprocessable => Err(answers::validation_failed("User has already been added to this team")),
        PostExisting::Conflict => Err(Answer::message(
            StatusCode::CONFLICT,
            "User has already been added to this team",
        )),
        PostExisting::Unchanged => Ok(echo(call, &organization, StatusCode::OK, Some(present), present)),
        PostExisting::Upsert => write(call, &mut organization, (team, user, role), StatusCode::CREATED),
    }
}

pub(super) fn change(call: &Call<'_>) -> Result<Answer, Refusal> {
    let mut organization = call.service.organization_mut();
    let team = writable(call, &organization)?;
    let role = role(&body(call)?)?;
    let user = call.target.user.filter(|&user| is_member(&organization, team, user));
    let user = user.ok_or_else(|| match call.habits.patch_absent {
        PatchAbsent::NotFound => no_member(),
        PatchAbsent::Unprocessable => answers::validation_failed("User is not a member of this team"),
    })?;
    write(call, &mut organization, (team, user, role), StatusCode::OK)
}

pub(super) fn remove(call: &Call<'_>) -> Result<Answer, Refusal> {
    let mut organization = call.service.organization_mut();
    let team = writable(call, &organization)?;
    let Some(user) = call.target.user.filter(|&user| is_member(&organization, team, user)) else {
        return match call.habits.delete_absent {
            DeleteAbsent::NotFound => Err(no_member()),
            DeleteAbsent::NoContent => Ok(Answer::empty(StatusCode::NO_CONTENT)),
            DeleteAbsent::Unprocessable => Err(Answer::message(
                StatusCode::UNPROCESSABLE_ENTITY,
                "User is not a member of this team",
            )),
        };
    };
    keep_a_maintainer(call, &organization, team, user)?;
    let before = organization.team_mut(team).and_then(|team| team.remove_member(user));
    call.service.shadows.cast(team, user, before, call.habits.write_lag);
    Ok(Answer::empty(StatusCode::NO_CONTENT).after_applying(true))
}

/// Puts the row in place and answers with what the habits make of it.
fn write(
    call: &Call<'_>,
    organization: &mut Organization,
    (team, user, role): (Uuid, Uuid, TeamRole),
    status: StatusCode,
) -> Result<Answer, Refusal> {
    if role == TeamRole::Member {
        keep_a_maintainer(call, organization, team, user)?;
    }
    let target = organization.team_mut(team).ok_or_else(|| answers::not_found("team"))?;
    let before = target.member(user).copied();
    let row = target.set_member(user, role, Timestamp::now());
    if before == Some(row) {
        return Ok(echo(call, organization, status, before, row));
    }
    call.service.shadows.cast(team, user, before, call.habits.write_lag);
    Ok(echo(call, organization, status, before, row).after_applying(true))
}

fn echo(
    call: &Call<'_>,
    organization: &Organization,
    status: StatusCode,
    before: Option<Membership>,
    row: Membership,
) -> Answer {
    match call.habits.echo {
        Echo::Full => Answer::json(status, &TeamMemberDocument::new(organization, &row)),
        Echo::Empty => Answer::empty(status),
        Echo::WithoutRole => Answer::json(status, &TeamMemberDocument::new(organization, &row).without_role()),
        Echo::Lagging => {
            let shown = before.unwrap_or(Membership {
                role: TeamRole::Member,
                ..row
            });
            Answer::json(status, &TeamMemberDocument::new(organization, &shown))
        }
    }
}

/// The id of the team that a write is about, if the caller may manage its members.
fn writable(call: &Call<'_>, organization: &Organization) -> Result<Uuid, Refusal> {
    let (team, caller) = shown(call, WRITE, organization)?;
    if caller.admin || team.role_of(caller.user) == Some(TeamRole::Maintainer) {
        Ok(team.id)
    } else {
        Err(answers::forbidden())
    }
}

fn keep_a_maintainer(call: &Call<'_>, organization: &Organization, team: Uuid, user: Uuid) -> Result<(), Refusal> {
    let last = organization
        .team(team)
        .is_some_and(|team: &Team| team.is_last_maintainer(user));
    if last && call.habits.last_maintainer == LastMaintainer::Refused {
        return Err(answers::validation_failed("A team must have at least one maintainer"));
    }
    Ok(())
}

fn is_member(organization: &Organization, team: Uuid, user: Uuid) -> bool {
    organization.team(team).is_some_and(|team| team.member(user).is_some())
}

fn body(call: &Call<'_>) -> Result<Value, Refusal> {
    serde_json::from_slice(call.body)
        .map_err(|_| Answer::message(StatusCode::BAD_REQUEST, "Request body could not be parsed as JSON"))
}

fn role(body: &Value) -> Result<TeamRole, Refusal> {
    match body.get("role").and_then(Value::as_str) {
        Some("member") => Ok(TeamRole::Member),
        Some("maintainer") => Ok(TeamRole::Maintainer),
        _ => Err(answers::validation_failed("Role must be one of: member, maintainer")),
    }
}

fn no_member() -> Refusal {
    answers::not_found("team member")
}
