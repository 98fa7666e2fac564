//! The pipelines and suites that a team gives access to. Everyone who can see the team and the object can read them;
//! admins, and the people whose own teams have full access to the object, can change them.

use std::collections::HashSet;

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::teams::visible_team;
use super::{Call, Caller};
use crate::sandbox::behaviors::{
    CreatedLevel, DeleteAbsent, Echo, Paging, PatchAbsent, PostExisting, PostOutsider, SuiteLevels, SuitePostPath,
};
use crate::sandbox::indexed_list::IndexedList;
use crate::sandbox::json;
use crate::sandbox::organization::Organization;
use crate::sandbox::response::{self, ErrorResponse, Response};
use crate::sandbox::stale_reads::{StaleReads, StaleRows};
use crate::sandbox::target;
use crate::sandbox::team::{PipelineLevel, SuiteLevel, Team, TeamAccess};

const READ: &str = "read_teams";
const WRITE: &str = "write_teams";

/// The level of access to one kind of object.
pub(super) trait Level: Copy + Ord {
    /// The kind of object, as in the fields of a row.
    const OBJECT: &'static str;
    const LOWEST: Self;
    const HIGHEST: Self;

    fn parse(value: &Value) -> Option<Self>;

    fn document(self, call: &Call<'_>, object: Uuid) -> Value;

    fn paging(call: &Call<'_>) -> Paging;

    fn rows(team: &Team) -> &IndexedList<TeamAccess<Self>>;

    fn rows_mut(team: &mut Team) -> &mut IndexedList<TeamAccess<Self>>;

    fn stale_rows(stale_reads: &StaleReads) -> &StaleRows<TeamAccess<Self>>;

    /// The URL of the object below the origin, if it exists.
    fn object_path(organization: &Organization, object: Uuid) -> Option<String>;
}

impl Level for PipelineLevel {
    const OBJECT: &'static str = "pipeline";
    const LOWEST: Self = Self::ReadOnly;
    const HIGHEST: Self = Self::ManageBuildAndRead;

    fn parse(value: &Value) -> Option<Self> {
        match value.as_str()? {
            "read_only" => Some(Self::ReadOnly),
            "build_and_read" => Some(Self::BuildAndRead),
            "manage_build_and_read" => Some(Self::ManageBuildAndRead),
            _ => None,
        }
    }

    fn document(self, _: &Call<'_>, _: Uuid) -> Value {
        json!(self)
    }

    fn paging(call: &Call<'_>) -> Paging {
        call.behaviors.team_pipeline_paging
    }

    fn rows(team: &Team) -> &IndexedList<TeamAccess<Self>> {
        &team.pipelines
    }

    fn rows_mut(team: &mut Team) -> &mut IndexedList<TeamAccess<Self>> {
        &mut team.pipelines
    }

    fn stale_rows(stale_reads: &StaleReads) -> &StaleRows<TeamAccess<Self>> {
        &stale_reads.team_pipelines
    }

    fn object_path(organization: &Organization, object: Uuid) -> Option<String> {
        let slug = &organization.pipeline(object)?.slug;
        Some(format!("/v2/organizations/{}/pipelines/{slug}", organization.slug))
    }
}

impl Level for SuiteLevel {
    const OBJECT: &'static str = "suite";
    const LOWEST: Self = Self::Read;
    const HIGHEST: Self = Self::Edit;

    fn parse(value: &Value) -> Option<Self> {
        let levels = value.as_array()?;
        let levels: Option<Vec<Self>> = levels
            .iter()
            .map(|level| match level.as_str()? {
                "read" => Some(Self::Read),
                "edit" => Some(Self::Edit),
                _ => None,
            })
            .collect();
        levels?.into_iter().max()
    }

    fn document(self, call: &Call<'_>, object: Uuid) -> Value {
        // The order changes with every request, and differs between the rows of one response.
        let reversed = (u128::from(call.service.request_log.total()) + object.as_u128()) % 2 == 1;
        match (call.behaviors.suite_levels, self, reversed) {
            (SuiteLevels::Scalar, ..) => json!(self),
            (SuiteLevels::Array, Self::Read, _) => json!(["read"]),
            (SuiteLevels::Array, Self::Edit, false) => json!(["read", "edit"]),
            (SuiteLevels::Array, Self::Edit, true) => json!(["edit", "read"]),
        }
    }

    fn paging(call: &Call<'_>) -> Paging {
        call.behaviors.team_suite_paging
    }

    fn rows(team: &Team) -> &IndexedList<TeamAccess<Self>> {
        &team.suites
    }

    fn rows_mut(team: &mut Team) -> &mut IndexedList<TeamAccess<Self>> {
        &mut team.suites
    }

    fn stale_rows(stale_reads: &StaleReads) -> &StaleRows<TeamAccess<Self>> {
        &stale_reads.team_suites
    }

    fn object_path(organization: &Organization, object: Uuid) -> Option<String> {
        let slug = &organization.suites.get(object)?.slug;
        Some(format!(
            "/v2/analytics/organizations/{}/suites/{slug}",
            organization.slug
        ))
    }
}

pub(super) fn list<L: Level>(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    let organization = call.service.organization();
    let (team, caller) = visible_team(call, READ, &organization)?;
    let lagging = L::stale_rows(&call.service.stale_reads).rows(team.id, L::rows(team));
    let rows = lagging.as_deref().unwrap_or_else(|| L::rows(team).as_slice());
    let reach = Reach::<L>::of(caller, &organization);
    let rows: Vec<&TeamAccess<L>> = rows.iter().filter(|row| reach.can_see(row.object)).collect();
    let url = call.url();
    Ok(call
        .listing(&url, L::paging(call))
        .render(&rows, |row| document(call, &organization, **row)))
}

pub(super) fn get<L: Level>(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    let organization = call.service.organization();
    let (team, caller) = visible_team(call, READ, &organization)?;
    let reach = Reach::<L>::of(caller, &organization);
    let object = call.target.object_id().filter(|&object| reach.can_see(object));
    let row = object.and_then(|object| L::stale_rows(&call.service.stale_reads).row(team.id, object, L::rows(team)));
    let row = row.ok_or_else(not_found::<L>)?;
    Ok(Response::ok(&document(call, &organization, row)))
}

/// Which of the two documented paths works is a behavior.
pub(super) fn add_suite(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    let singular = call.path.trim_end_matches('/').ends_with("/suite");
    if singular == (call.behaviors.suite_post_path == SuitePostPath::Singular) {
        add::<SuiteLevel>(call)
    } else {
        Err(Response::message(StatusCode::NOT_FOUND, "Not Found"))
    }
}

pub(super) fn add<L: Level>(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    let mut organization = call.service.organization_mut();
    let (team, caller) = visible_team(call, WRITE, &organization)?;
    let (team, present) = (team.id, L::rows(team).clone());
    let body = call.json_body()?;
    let object = body
        .get(format!("{}_id", L::OBJECT))
        .and_then(Value::as_str)
        .and_then(target::parse_uuid)
        .ok_or_else(|| response::validation_failed(&format!("{} must exist", capitalized::<L>())))?;
    let level = parse_level::<L>(&body)?;
    let reach = Reach::<L>::of(caller, &organization);
    if L::object_path(&organization, object).is_none() || !reach.can_see(object) {
        return Err(match call.behaviors.post_outsider {
            PostOutsider::NotFound => response::not_found(L::OBJECT),
            PostOutsider::Unprocessable => response::validation_failed(&format!("{} must exist", capitalized::<L>())),
            PostOutsider::Forbidden => response::forbidden(),
        });
    }
    reach.require_full_access(object)?;
    let Some(present) = present.get(object).copied() else {
        return write(call, &mut organization, (team, object, level), StatusCode::CREATED);
    };
    let already = format!("{} has already been added to this team", capitalized::<L>());
    match call.behaviors.post_existing {
        PostExisting::Unprocessable => Err(response::validation_failed(&already)),
        PostExisting::Conflict => Err(Response::message(StatusCode::CONFLICT, &already)),
        PostExisting::Unchanged => Ok(write_response(
            call,
            &organization,
            StatusCode::OK,
            Some(present),
            present,
        )),
        PostExisting::Upsert => write(call, &mut organization, (team, object, level), StatusCode::CREATED),
    }
}

pub(super) fn change<L: Level>(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    let mut organization = call.service.organization_mut();
    let (team, caller) = visible_team(call, WRITE, &organization)?;
    let (team, rows) = (team.id, L::rows(team));
    let level = parse_level::<L>(&call.json_body()?)?;
    let reach = Reach::<L>::of(caller, &organization);
    let object = call
        .target
        .object_id()
        .filter(|&object| reach.can_see(object) && rows.contains(object));
    let object = object.ok_or_else(|| match call.behaviors.patch_absent {
        PatchAbsent::NotFound => not_found::<L>(),
        PatchAbsent::Unprocessable => response::validation_failed("The team has no such access"),
    })?;
    reach.require_full_access(object)?;
    write(call, &mut organization, (team, object, level), StatusCode::OK)
}

pub(super) fn remove<L: Level>(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    let mut organization = call.service.organization_mut();
    let (team, caller) = visible_team(call, WRITE, &organization)?;
    let (team, rows) = (team.id, L::rows(team));
    let reach = Reach::<L>::of(caller, &organization);
    let object = call
        .target
        .object_id()
        .filter(|&object| reach.can_see(object) && rows.contains(object));
    let Some(object) = object else {
        return match call.behaviors.delete_absent {
            DeleteAbsent::NotFound => Err(not_found::<L>()),
            DeleteAbsent::NoContent => Ok(Response::empty(StatusCode::NO_CONTENT)),
            DeleteAbsent::Unprocessable => Err(Response::message(
                StatusCode::UNPROCESSABLE_ENTITY,
                "The team has no such access",
            )),
        };
    };
    reach.require_full_access(object)?;
    let before = organization
        .team_mut(team)
        .and_then(|team| L::rows_mut(team).remove(object));
    L::stale_rows(&call.service.stale_reads).record(team, object, before, call.behaviors.write_lag);
    Ok(Response::empty(StatusCode::NO_CONTENT).with_applied(true))
}

/// Writes the row and returns the response that the behaviors determine.
fn write<L: Level>(
    call: &Call<'_>,
    organization: &mut Organization,
    (team, object, level): (Uuid, Uuid, L),
    status: StatusCode,
) -> Result<Response, ErrorResponse> {
    let target = organization.team_mut(team).ok_or_else(|| response::not_found("team"))?;
    let rows = L::rows_mut(target);
    let before = rows.get(object).copied();
    let row = TeamAccess {
        object,
        level,
        created_at: before.map_or_else(Timestamp::now, |row| row.created_at),
    };
    rows.push(row);
    let changed = before.is_none_or(|before| before.level != level);
    if changed {
        L::stale_rows(&call.service.stale_reads).record(team, object, before, call.behaviors.write_lag);
    }
    Ok(write_response(call, organization, status, before, row).with_applied(changed))
}

fn write_response<L: Level>(
    call: &Call<'_>,
    organization: &Organization,
    status: StatusCode,
    before: Option<TeamAccess<L>>,
    row: TeamAccess<L>,
) -> Response {
    let document = |shown| document(call, organization, shown);
    let mut body = match call.behaviors.echo {
        Echo::Empty => return Response::empty(status),
        Echo::Full | Echo::WithoutRole => document(row),
        Echo::Lagging => document(before.unwrap_or(TeamAccess {
            level: L::LOWEST,
            ..row
        })),
    };
    if let Some(fields) = body.as_object_mut() {
        if call.behaviors.echo == Echo::WithoutRole {
            fields.remove("access_level");
        } else if status == StatusCode::CREATED && call.behaviors.created_level == CreatedLevel::Read {
            // Only the example of a pipeline shows it; that of a suite is an array, in which `read` is a level.
            if L::OBJECT == PipelineLevel::OBJECT {
                fields.insert("access_level".to_owned(), json!("read"));
            }
        }
    }
    Response::json(status, &body)
}

/// A row of the list. The row of an object that does not exist any more has no URL.
fn document<L: Level>(call: &Call<'_>, organization: &Organization, row: TeamAccess<L>) -> Value {
    let url = L::object_path(organization, row.object).map(|path| format!("{}{path}", call.service.origin));
    json!({
        "access_level": row.level.document(call, row.object),
        "created_at": json::format_iso(row.created_at),
        format!("{}_id", L::OBJECT): row.object,
        format!("{}_url", L::OBJECT): url,
    })
}

/// What a caller's own teams give access to.
pub(super) struct Reach<L> {
    admin: bool,
    visible: HashSet<Uuid>,
    full: HashSet<Uuid>,
    level: std::marker::PhantomData<L>,
}

impl<L: Level> Reach<L> {
    pub(super) fn of(caller: Caller, organization: &Organization) -> Self {
        let teams = organization.teams().iter();
        let own = teams.filter(|team| !caller.admin && team.member(caller.user).is_some());
        let (mut visible, mut full) = (HashSet::new(), HashSet::new());
        for row in own.flat_map(|team| L::rows(team).as_slice()) {
            visible.insert(row.object);
            if row.level == L::HIGHEST {
                full.insert(row.object);
            }
        }
        Self {
            admin: caller.admin,
            visible,
            full,
            level: std::marker::PhantomData,
        }
    }

    pub(super) fn can_see(&self, object: Uuid) -> bool {
        self.admin || self.visible.contains(&object)
    }

    pub(super) fn has_full_access(&self, object: Uuid) -> bool {
        self.admin || self.full.contains(&object)
    }

    fn require_full_access(&self, object: Uuid) -> Result<(), ErrorResponse> {
        if self.has_full_access(object) {
            Ok(())
        } else {
            Err(response::forbidden())
        }
    }
}

fn parse_level<L: Level>(body: &Value) -> Result<L, ErrorResponse> {
    let level = body.get("access_level").and_then(L::parse);
    level.ok_or_else(|| response::validation_failed("Access level is not included in the list"))
}

fn not_found<L: Level>() -> ErrorResponse {
    response::not_found(&format!("team {}", L::OBJECT))
}

fn capitalized<L: Level>() -> String {
    let mut name = L::OBJECT.to_owned();
    if let Some(first) = name.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    name
}
