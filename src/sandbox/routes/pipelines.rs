//! Pipelines. Admins see all of them, others those that their teams have access to; the list does not show that it is
//! missing some.

use super::team_access::Reach;
use super::{Call, Caller};
use crate::sandbox::organization::Organization;
use crate::sandbox::pipeline_json;
use crate::sandbox::pipelines::Pipeline;
use crate::sandbox::response::{self, ErrorResponse, Response};
use crate::sandbox::team::PipelineLevel;

const SCOPE: &str = "read_pipelines";

pub(super) fn list(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    let organization = call.service.organization();
    let caller = call.caller(SCOPE, &organization)?;
    let reach = Reach::<PipelineLevel>::of(caller, &organization);
    let contains = |text: &str, parameter: &str| {
        let wanted = call.query.parameter(parameter);
        wanted.is_none_or(|wanted| text.to_lowercase().contains(&wanted.to_lowercase()))
    };
    let sees_webhook = may_write(call);
    let pipelines = organization.pipelines().iter();
    let rows: Vec<&Pipeline> = pipelines
        .filter(|row| reach.can_see(row.id))
        .filter(|row| contains(&row.name, "name") && contains(&row.repository, "repository"))
        .collect();
    let url = call.url();
    Ok(call.listing(&url, call.behaviors.pipeline_paging).render(&rows, |row| {
        let editable = sees_webhook && reach.has_full_access(row.id);
        pipeline_json::pipeline(&organization, &call.service.origin, row, editable)
    }))
}

pub(super) fn get(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    let organization = call.service.organization();
    let (pipeline, caller) = visible_pipeline(call, SCOPE, &organization)?;
    let editable = may_write(call) && Reach::<PipelineLevel>::of(caller, &organization).has_full_access(pipeline.id);
    let document = pipeline_json::pipeline(&organization, &call.service.origin, pipeline, editable);
    Ok(Response::ok(&document))
}

/// The call's pipeline, if the caller can see it.
pub(super) fn visible_pipeline<'o>(
    call: &Call<'_>,
    scope: &str,
    organization: &'o Organization,
) -> Result<(&'o Pipeline, Caller), ErrorResponse> {
    let caller = call.caller(scope, organization)?;
    let reach = Reach::<PipelineLevel>::of(caller, organization);
    let slug = call.target.object.as_deref();
    let pipeline = slug.and_then(|slug| organization.pipeline_by_slug(slug));
    let pipeline = pipeline.filter(|pipeline| reach.can_see(pipeline.id));
    pipeline
        .map(|pipeline| (pipeline, caller))
        .ok_or_else(|| response::not_found("pipeline"))
}

/// Only tokens that may change pipelines see the URLs of webhooks.
pub(super) fn may_write(call: &Call<'_>) -> bool {
    call.with_scope("write_pipelines").is_ok()
}
