//! The JSON of pipelines, builds and jobs (section 2.9 of the REST reference). It holds secrets where Buildkite's may:
//! each begins with [`SECRET_MARKER`].

use serde_json::{Value, json};

use super::json;
use super::organization::Organization;
use super::pipelines::{Build, Job, JobKind, Pipeline, SECRET_MARKER};

/// A pipeline. Only callers who can edit it see the webhook's URL.
pub(super) fn pipeline(organization: &Organization, origin: &str, pipeline: &Pipeline, editable: bool) -> Value {
    let slug = &pipeline.slug;
    let of = format!("{origin}/v2/organizations/{}", organization.slug);
    let webhook_url = format!("https://webhook.buildkite.com/deliver/{SECRET_MARKER}webhook-{slug}");
    let command = format!("API_KEY={SECRET_MARKER}step-{slug} make {slug}");
    json!({
        "id": pipeline.id,
        "graphql_id": json::graphql_id("Pipeline", pipeline.id),
        "url": format!("{of}/pipelines/{slug}"),
        "web_url": format!("https://buildkite.com/{}/{slug}", organization.slug),
        "name": pipeline.name,
        "description": pipeline.description,
        "slug": slug,
        "repository": pipeline.repository,
        "cluster_id": pipeline.cluster,
        "cluster_url": pipeline.cluster.map(|cluster| format!("{of}/clusters/{cluster}")),
        "branch_configuration": null,
        "default_branch": pipeline.default_branch,
        "skip_queued_branch_builds": false,
        "cancel_running_branch_builds": false,
        "allow_rebuilds": true,
        "visibility": pipeline.visibility,
        "tags": null,
        "emoji": null,
        "color": null,
        "provider": {
            "id": "github",
            "webhook_url": if editable { webhook_url.as_str() } else { "" },
            "settings": { "trigger_mode": "code", "publish_commit_status": true },
        },
        "builds_url": format!("{of}/pipelines/{slug}/builds"),
        "badge_url": format!("https://badge.buildkite.com/{}.svg", pipeline.id.simple()),
        "created_by": json::user(organization, pipeline.created_by),
        "created_at": json::format_iso(pipeline.created_at),
        "archived_at": pipeline.archived_at.map(json::format_iso),
        "env": pipeline.env,
        "configuration": format!("env:\n  API_KEY: {SECRET_MARKER}configuration-{slug}\nsteps:\n  - command: make\n"),
        "steps": [{ "type": "script", "name": null, "command": command, "env": pipeline.env, "agents": {} }],
        "scheduled_builds_count": count(pipeline, "scheduled"),
        "running_builds_count": count(pipeline, "running"),
    })
}

/// Which parts of a build are left out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Excluded {
    pub(super) jobs: bool,
    pub(super) pipeline: bool,
}

/// A build.
pub(super) fn build(
    organization: &Organization,
    origin: &str,
    (pipeline, build): (&Pipeline, &Build),
    (excluded, editable): (Excluded, bool),
) -> Value {
    let path = format!("pipelines/{}/builds/{}", pipeline.slug, build.number);
    let url = format!("{origin}/v2/organizations/{}/{path}", organization.slug);
    let mut document = json!({
        "id": build.id,
        "graphql_id": json::graphql_id("Build", build.id),
        "url": url,
        "web_url": format!("https://buildkite.com/{}/{}/builds/{}", organization.slug, pipeline.slug, build.number),
        "number": build.number,
        "state": build.state,
        "blocked": build.jobs.iter().any(|job| job.state == "blocked"),
        "message": build.message,
        "commit": build.commit,
        "branch": build.branch,
        "env": build.env,
        "source": "api",
        "creator": json::user(organization, build.creator),
        "created_at": json::format_iso(build.created_at),
        "scheduled_at": json::format_iso(build.created_at),
        "started_at": null,
        "finished_at": build.finished_at.map(json::format_iso),
        "meta_data": build.meta_data,
        "pull_request": null,
    });
    if let Some(fields) = document.as_object_mut() {
        if !excluded.jobs {
            let jobs: Vec<Value> = build
                .jobs
                .iter()
                .map(|job| self::job(organization, &url, job))
                .collect();
            fields.insert("jobs".to_owned(), jobs.into());
        }
        if !excluded.pipeline {
            fields.insert(
                "pipeline".to_owned(),
                self::pipeline(organization, origin, pipeline, editable),
            );
        }
    }
    document
}

/// A job of the build at this URL.
pub(super) fn job(organization: &Organization, build_url: &str, job: &Job) -> Value {
    let url = format!("{build_url}/jobs/{}", job.id);
    match job.kind {
        JobKind::Script => json!({
            "id": job.id,
            "graphql_id": json::graphql_id("Job", job.id),
            "type": "script",
            "name": "make",
            "state": job.state,
            "command": "make",
            "exit_status": null,
            "log_url": format!("{url}/log"),
            "raw_log_url": format!("{url}/log.txt"),
            "artifacts_url": format!("{url}/artifacts"),
        }),
        JobKind::Block => json!({
            "id": job.id,
            "graphql_id": json::graphql_id("Job", job.id),
            "type": "manual",
            "label": "Approve",
            "state": job.state,
            "unblocked_by": json::user(organization, job.unblocked_by),
            "unblocked_at": job.unblocked_at.map(|at| at.to_string()),
            "unblockable": job.state == "blocked",
            "unblock_url": format!("{url}/unblock"),
        }),
    }
}

/// The artifact of a build at this URL.
pub(super) fn artifact(build_url: &str, build: &Build) -> Value {
    let url = format!("{build_url}/artifacts/{}", build.id);
    json!({
        "id": build.id,
        "job_id": build.jobs.first().map(|job| job.id),
        "url": url,
        "download_url": format!("{url}/download"),
        "state": "finished",
        "path": "dist/report.html",
        "filename": "report.html",
        "mime_type": "text/html",
        "file_size": 2048,
    })
}

fn count(pipeline: &Pipeline, state: &str) -> usize {
    pipeline.builds.iter().filter(|build| build.state == state).count()
}
