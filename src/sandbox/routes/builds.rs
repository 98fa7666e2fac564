//! Builds and artifacts. Who can see a pipeline can read its builds; starting one needs more access than reading.

use std::borrow::Cow;
use std::collections::BTreeMap;

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::pipelines::{may_write, visible_pipeline};
use super::team_access::Reach;
use super::{Call, Caller};
use crate::sandbox::behaviors::{BuildErrorBody, MetaDataFilter, Paging};
use crate::sandbox::organization::Organization;
use crate::sandbox::pipeline_json::{self, Excluded};
use crate::sandbox::pipelines::{Build, Pipeline};
use crate::sandbox::response::{self, ErrorResponse, Response};
use crate::sandbox::team::PipelineLevel;

const READ: &str = "read_builds";
const WRITE: &str = "write_builds";

/// The builds of every pipeline that the caller can see.
pub(super) fn list_all(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    let organization = call.service.organization();
    let caller = call.caller(READ, &organization)?;
    let reach = Reach::<PipelineLevel>::of(caller, &organization);
    let pipelines = organization.pipelines().iter();
    let visible: Vec<&Pipeline> = pipelines.filter(|pipeline| reach.can_see(pipeline.id)).collect();
    render(call, &organization, &visible, caller)
}

pub(super) fn list(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    let organization = call.service.organization();
    let (pipeline, caller) = visible_pipeline(call, READ, &organization)?;
    render(call, &organization, &[pipeline], caller)
}

pub(super) fn get(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    let organization = call.service.organization();
    let (pipeline, build, caller) = visible_build(call, READ, &organization)?;
    let stale_rows = &call.service.stale_reads.builds;
    let build = stale_rows.row_or(pipeline.id, build.id, || Some(build.clone()));
    let build = build.ok_or_else(not_found)?;
    let document = document(call, &organization, (pipeline, &build), caller);
    Ok(Response::ok(&document))
}

pub(super) fn create(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    let mut organization = call.service.organization_mut();
    let (pipeline, caller) = visible_pipeline(call, WRITE, &organization)?;
    require_build_access(caller, &organization, pipeline)?;
    let body = call.json_body()?;
    let text = |field: &str| body.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
    let (Some(branch), Some(commit)) = (text("branch"), text("commit")) else {
        let missing = if text("branch").is_none() { "branch" } else { "commit" };
        return Err(invalid(call, missing, "missing_field"));
    };
    if pipeline.archived_at.is_some() {
        return Err(invalid(call, "pipeline", "archived"));
    }
    let (env, meta_data) = (entries(call, &body, "env")?, entries(call, &body, "meta_data")?);
    let id = pipeline.id;
    let pipeline = organization.pipeline_mut(id).ok_or_else(not_found)?;
    let number = pipeline.start_build(branch, commit, Timestamp::now());
    let build = pipeline.build_mut(number).ok_or_else(not_found)?;
    text("message").unwrap_or_default().clone_into(&mut build.message);
    build.env.extend(env);
    build.meta_data = meta_data;
    build.creator = Some(caller.user);
    let pipeline = organization.pipeline(id).ok_or_else(not_found)?;
    let build = pipeline.build(number).ok_or_else(not_found)?;
    let stale_rows = &call.service.stale_reads.builds;
    stale_rows.record(id, build.id, None, call.behaviors.write_lag);
    let document = document(call, &organization, (pipeline, build), caller);
    Ok(Response::json(StatusCode::CREATED, &document).with_applied(true))
}

/// A build has an artifact once it has ended.
pub(super) fn artifacts(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    let organization = call.service.organization();
    let (pipeline, build, _) = visible_build(call, "read_artifacts", &organization)?;
    let rows: Vec<&Build> = build.finished_at.map(|_| build).into_iter().collect();
    let build_url = build_url(call, &organization, pipeline, build);
    let url = call.url();
    let listing = call.listing(&url, Paging::Paged);
    Ok(listing.render(&rows, |build| pipeline_json::artifact(&build_url, build)))
}

/// The call's build, if the caller can see its pipeline.
pub(super) fn visible_build<'o>(
    call: &Call<'_>,
    scope: &str,
    organization: &'o Organization,
) -> Result<(&'o Pipeline, &'o Build, Caller), ErrorResponse> {
    let (pipeline, caller) = visible_pipeline(call, scope, organization)?;
    let build = call.target.number.and_then(|number| pipeline.build(number));
    let build = build.ok_or_else(not_found)?;
    Ok((pipeline, build, caller))
}

/// Returns an error unless one of the caller's teams may start builds of the pipeline.
pub(super) fn require_build_access(
    caller: Caller,
    organization: &Organization,
    pipeline: &Pipeline,
) -> Result<(), ErrorResponse> {
    let mut teams = organization.teams().iter();
    let may_build = teams.any(|team| {
        team.member(caller.user).is_some() && team.pipeline_level(pipeline.id) >= Some(PipelineLevel::BuildAndRead)
    });
    if caller.admin || may_build {
        Ok(())
    } else {
        Err(response::forbidden())
    }
}

pub(super) fn build_url(call: &Call<'_>, organization: &Organization, pipeline: &Pipeline, build: &Build) -> String {
    let path = format!("pipelines/{}/builds/{}", pipeline.slug, build.number);
    format!("{}/v2/organizations/{}/{path}", call.service.origin, organization.slug)
}

/// A page of builds, newest first.
fn render(
    call: &Call<'_>,
    organization: &Organization,
    pipelines: &[&Pipeline],
    caller: Caller,
) -> Result<Response, ErrorResponse> {
    let depth = usize::try_from(call.behaviors.build_depth).unwrap_or(usize::MAX);
    if call.query.skipped_rows(call.behaviors.per_page_cap) >= depth {
        return Err(Response::message(
            StatusCode::BAD_REQUEST,
            "This page is too deep. Use filters to narrow down the list of builds",
        ));
    }
    let from = parse_time(call, "created_from")?;
    let to = parse_time(call, "created_to")?;
    let one_of = |name: &str, value: &str| {
        let mut wanted = call.query.values(name).peekable();
        wanted.peek().is_none() || wanted.any(|wanted| wanted == value)
    };
    let has_meta_data = |build: &Build| {
        call.behaviors.meta_data_filter == MetaDataFilter::Ignored
            || call
                .query
                .entries("meta_data")
                .all(|(key, value)| build.meta_data.get(key).is_some_and(|found| found == value))
    };
    let shown: Vec<(&Pipeline, Cow<'_, [Build]>)> = pipelines
        .iter()
        .map(|pipeline| (*pipeline, shown_builds(call, pipeline)))
        .collect();
    let mut rows: Vec<(&Pipeline, &Build)> = shown
        .iter()
        .flat_map(|(pipeline, builds)| builds.iter().map(|build| (*pipeline, build)))
        .filter(|(_, build)| from.is_none_or(|from| build.created_at >= from))
        .filter(|(_, build)| to.is_none_or(|to| build.created_at < to))
        .filter(|(_, build)| one_of("state", &build.state))
        .filter(|(_, build)| one_of("branch", &build.branch) && one_of("commit", &build.commit))
        .filter(|(_, build)| has_meta_data(build))
        .collect();
    rows.sort_by_key(|(_, build)| std::cmp::Reverse((build.created_at, build.number)));
    let url = call.url();
    let listing = call.listing(&url, Paging::Paged);
    Ok(listing.render_in_order(&rows, |row| document(call, organization, *row, caller)))
}

/// The builds of a pipeline as a list returns them.
fn shown_builds<'p>(call: &Call<'_>, pipeline: &'p Pipeline) -> Cow<'p, [Build]> {
    let builds = pipeline.builds.as_slice();
    let is_current = |id| builds.iter().any(|build| build.id == id);
    let lagging = call.service.stale_reads.builds.rows_of(pipeline.id, builds, is_current);
    lagging.map_or(Cow::Borrowed(builds), Cow::Owned)
}

fn document(call: &Call<'_>, organization: &Organization, row: (&Pipeline, &Build), caller: Caller) -> Value {
    let flag = |name: &str| call.query.parameter(name) == Some("true");
    let excluded = Excluded {
        jobs: flag("exclude_jobs"),
        pipeline: flag("exclude_pipeline"),
    };
    let editable = may_write(call) && Reach::<PipelineLevel>::of(caller, organization).has_full_access(row.0.id);
    pipeline_json::build(organization, &call.service.origin, row, (excluded, editable))
}

fn parse_time(call: &Call<'_>, name: &str) -> Result<Option<Timestamp>, ErrorResponse> {
    let time = call.query.parameter(name).map(str::parse).transpose();
    time.map_err(|_| Response::message(StatusCode::BAD_REQUEST, &format!("{name} is not a valid time")))
}

fn entries(call: &Call<'_>, body: &Value, field: &str) -> Result<BTreeMap<String, String>, ErrorResponse> {
    let Some(value) = body.get(field).filter(|value| !value.is_null()) else {
        return Ok(BTreeMap::new());
    };
    serde_json::from_value(value.clone()).map_err(|_| invalid(call, field, "invalid"))
}

/// The 422 for a build, which has two shapes.
fn invalid(call: &Call<'_>, field: &str, code: &str) -> ErrorResponse {
    let errors = json!([{ "field": field, "code": code }]);
    let body = match call.behaviors.build_error_body {
        BuildErrorBody::Errors => json!({ "message": "Validation Failed", "errors": errors }),
        BuildErrorBody::Message => json!({ "message": format!("Validation failed: {field} {code}") }),
    };
    Response::json(StatusCode::UNPROCESSABLE_ENTITY, &body)
}

fn not_found() -> ErrorResponse {
    response::not_found("build")
}
