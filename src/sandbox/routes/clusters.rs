//! Clusters. Everyone in the organization can read them; admins and a cluster's maintainers can change who maintains it.

use http::StatusCode;
use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::{Call, Caller};
use crate::sandbox::behaviors::{DeleteAbsent, PostExisting, PostOutsider};
use crate::sandbox::clusters::{Cluster, Maintainer};
use crate::sandbox::object_json;
use crate::sandbox::organization::Organization;
use crate::sandbox::response::{self, ErrorResponse, Response};
use crate::sandbox::target;

const READ: &str = "read_clusters";
const WRITE: &str = "write_clusters";

pub(super) fn list(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    let organization = call.service.organization();
    call.caller(READ, &organization)?;
    let url = call.url();
    let listing = call.listing(&url, call.behaviors.cluster_paging);
    Ok(listing.render(organization.clusters(), |cluster| {
        object_json::cluster(&organization, &call.service.origin, cluster)
    }))
}

pub(super) fn get(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    let organization = call.service.organization();
    let (cluster, _) = find(call, READ, &organization)?;
    let document = object_json::cluster(&organization, &call.service.origin, cluster);
    Ok(Response::ok(&document))
}

/// Deletes the whole cluster, as Buildkite does at this path.
pub(super) fn delete(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    let mut organization = call.service.organization_mut();
    let cluster = writable(call, &organization)?;
    organization.remove_cluster(cluster);
    Ok(Response::empty(StatusCode::NO_CONTENT).with_applied(true))
}

pub(super) fn list_maintainers(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    let organization = call.service.organization();
    let (cluster, _) = find(call, READ, &organization)?;
    let stale_rows = &call.service.stale_reads.cluster_maintainers;
    let lagging = stale_rows.rows(cluster.id, &cluster.maintainers);
    let rows = lagging.as_deref().unwrap_or_else(|| cluster.maintainers());
    let url = call.url();
    let listing = call.listing(&url, call.behaviors.cluster_maintainer_paging);
    Ok(listing.render(rows, |row| object_json::cluster_maintainer(&organization, row)))
}

pub(super) fn get_maintainer(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    let organization = call.service.organization();
    let (cluster, _) = find(call, READ, &organization)?;
    let stale_rows = &call.service.stale_reads.cluster_maintainers;
    let row = call
        .target
        .part
        .and_then(|id| stale_rows.row(cluster.id, id, &cluster.maintainers));
    let row = row.ok_or_else(not_found)?;
    Ok(Response::ok(&object_json::cluster_maintainer(&organization, &row)))
}

pub(super) fn add_maintainer(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    let mut organization = call.service.organization_mut();
    let cluster = writable(call, &organization)?;
    let maintainer = parse_maintainer(&call.json_body()?)?;
    let exists = match maintainer {
        Maintainer::User(user) => organization.person(user).is_some(),
        Maintainer::Team(team) => organization.team(team).is_some(),
    };
    if !exists {
        return Err(match call.behaviors.post_outsider {
            PostOutsider::NotFound => response::not_found("actor"),
            PostOutsider::Unprocessable => response::validation_failed("Actor must exist"),
            PostOutsider::Forbidden => response::forbidden(),
        });
    }
    let target = organization.cluster_mut(cluster).ok_or_else(cluster_not_found)?;
    let present = target.maintainer(maintainer).copied();
    let row = target.add_maintainer(Uuid::new_v4(), maintainer, Timestamp::now());
    let already = "Actor is already a maintainer of this cluster";
    let (status, applied) = match (present, call.behaviors.post_existing) {
        (None, _) => (StatusCode::CREATED, true),
        (Some(_), PostExisting::Unprocessable) => return Err(response::validation_failed(already)),
        (Some(_), PostExisting::Conflict) => return Err(Response::message(StatusCode::CONFLICT, already)),
        (Some(_), PostExisting::Unchanged) => (StatusCode::OK, false),
        (Some(_), PostExisting::Upsert) => (StatusCode::CREATED, false),
    };
    if applied {
        let stale_rows = &call.service.stale_reads.cluster_maintainers;
        stale_rows.record(cluster, row.id, None, call.behaviors.write_lag);
    }
    let document = object_json::cluster_maintainer(&organization, &row);
    Ok(Response::json(status, &document).with_applied(applied))
}

pub(super) fn remove_maintainer(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    let mut organization = call.service.organization_mut();
    let cluster = writable(call, &organization)?;
    let target = organization.cluster_mut(cluster).ok_or_else(cluster_not_found)?;
    let removed = call.target.part.and_then(|id| target.maintainers.remove(id));
    let Some(row) = removed else {
        return match call.behaviors.delete_absent {
            DeleteAbsent::NotFound => Err(not_found()),
            DeleteAbsent::NoContent => Ok(Response::empty(StatusCode::NO_CONTENT)),
            DeleteAbsent::Unprocessable => Err(Response::message(
                StatusCode::UNPROCESSABLE_ENTITY,
                "Actor is not a maintainer of this cluster",
            )),
        };
    };
    let stale_rows = &call.service.stale_reads.cluster_maintainers;
    stale_rows.record(cluster, row.id, Some(row), call.behaviors.write_lag);
    Ok(Response::empty(StatusCode::NO_CONTENT).with_applied(true))
}

fn find<'o>(
    call: &Call<'_>,
    scope: &str,
    organization: &'o Organization,
) -> Result<(&'o Cluster, Caller), ErrorResponse> {
    let caller = call.caller(scope, organization)?;
    let cluster = call.target.object_id().and_then(|id| organization.cluster(id));
    cluster.map(|cluster| (cluster, caller)).ok_or_else(cluster_not_found)
}

/// The id of the cluster to change, if the caller may change it.
fn writable(call: &Call<'_>, organization: &Organization) -> Result<Uuid, ErrorResponse> {
    let (cluster, caller) = find(call, WRITE, organization)?;
    let is_maintainer = cluster.maintainers().iter().any(|row| match row.maintainer {
        Maintainer::User(user) => user == caller.user,
        Maintainer::Team(team) => organization
            .team(team)
            .is_some_and(|team| team.member(caller.user).is_some()),
    });
    if caller.admin || is_maintainer {
        Ok(cluster.id)
    } else {
        Err(response::forbidden())
    }
}

/// The body names either a `user` or a `team`.
fn parse_maintainer(body: &Value) -> Result<Maintainer, ErrorResponse> {
    let id = |field: &str| body.get(field).and_then(Value::as_str).and_then(target::parse_uuid);
    match (id("user"), id("team")) {
        (Some(user), None) => Ok(Maintainer::User(user)),
        (None, Some(team)) => Ok(Maintainer::Team(team)),
        _ => Err(response::validation_failed("Provide either a user or a team")),
    }
}

fn cluster_not_found() -> ErrorResponse {
    response::not_found("cluster")
}

fn not_found() -> ErrorResponse {
    response::not_found("cluster maintainer")
}
