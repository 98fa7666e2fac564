//! Jobs of a build: their log, their environment, and the approval of a block step.

use std::collections::BTreeMap;

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Call;
use super::builds::{build_url, require_build_access, visible_build};
use crate::sandbox::organization::Organization;
use crate::sandbox::pipeline_json;
use crate::sandbox::pipelines::{Build, Job, JobKind, Pipeline, SECRET_MARKER};
use crate::sandbox::response::{self, ErrorResponse, Response};

/// The log of a job that runs or ran. The response to `HEAD` has no body.
pub(super) fn log(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    let organization = call.service.organization();
    let (.., job) = find(call, "read_build_logs", &organization)?;
    if job.kind == JobKind::Block || job.state == "scheduled" {
        return Err(response::not_found("job log"));
    }
    let content = format!("$ make\nusing {SECRET_MARKER}log\n");
    let size = content.len();
    Ok(Response::ok(&json!({
        "url": call.url(),
        "content": content,
        "size": size,
        "header_times": [],
    })))
}

pub(super) fn env(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    let organization = call.service.organization();
    let (_, build, _) = find(call, "read_job_env", &organization)?;
    Ok(Response::ok(&json!({ "env": build.env })))
}

/// Unblocks a block step. A build without another block step is then scheduled.
pub(super) fn unblock(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    let mut organization = call.service.organization_mut();
    let (pipeline, caller) = super::pipelines::visible_pipeline(call, "write_builds", &organization)?;
    require_build_access(caller, &organization, pipeline)?;
    let (pipeline, build, job) = find(call, "write_builds", &organization)?;
    if job.kind != JobKind::Block || job.state != "blocked" {
        return Err(Response::message(
            StatusCode::UNPROCESSABLE_ENTITY,
            "This job can't be unblocked",
        ));
    }
    let fields = parse_fields(call)?;
    let (pipeline, number, job) = (pipeline.id, build.number, job.id);
    let stale_rows = &call.service.stale_reads.builds;
    stale_rows.record(pipeline, build.id, Some(build.clone()), call.behaviors.write_lag);
    let build = organization
        .pipeline_mut(pipeline)
        .and_then(|pipeline| pipeline.build_mut(number))
        .ok_or_else(not_found)?;
    if let Some(job) = build.jobs.iter_mut().find(|row| row.id == job) {
        "unblocked".clone_into(&mut job.state);
        job.unblocked_by = Some(caller.user);
        job.unblocked_at = Some(Timestamp::now());
        job.fields = fields;
    }
    if build.state == "blocked" && build.jobs.iter().all(|job| job.state != "blocked") {
        "scheduled".clone_into(&mut build.state);
    }
    let (pipeline, build, job) = find(call, "write_builds", &organization)?;
    let url = build_url(call, &organization, pipeline, build);
    Ok(Response::ok(&pipeline_json::job(&organization, &url, job)).with_applied(true))
}

/// The call's job, if the caller can see its pipeline.
fn find<'o>(
    call: &Call<'_>,
    scope: &str,
    organization: &'o Organization,
) -> Result<(&'o Pipeline, &'o Build, &'o Job), ErrorResponse> {
    let (pipeline, build, _) = visible_build(call, scope, organization)?;
    let job = build.jobs.iter().find(|job| Some(job.id) == call.target.part);
    job.map(|job| (pipeline, build, job)).ok_or_else(not_found)
}

/// The body may be missing, and so may its `fields`.
fn parse_fields(call: &Call<'_>) -> Result<BTreeMap<String, String>, ErrorResponse> {
    if call.body.is_empty() {
        return Ok(BTreeMap::new());
    }
    let body = call.json_body()?;
    let fields = body
        .get("fields")
        .cloned()
        .unwrap_or_else(|| Value::Object(serde_json::Map::new()));
    serde_json::from_value(fields).map_err(|_| response::validation_failed("Fields are invalid"))
}

fn not_found() -> ErrorResponse {
    response::not_found("job")
}
