//! Test suites, which belong to Test Engine. Admins see all of them, others those that their teams have access to.

use super::team_access::Reach;
use super::{Call, require_feature};
use crate::sandbox::object_json;
use crate::sandbox::objects::Suite;
use crate::sandbox::response::{self, ErrorResponse, Response};
use crate::sandbox::team::SuiteLevel;

const SCOPE: &str = "read_suites";

pub(super) fn list(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    let organization = call.service.organization();
    let caller = call.caller(SCOPE, &organization)?;
    require_feature(call.behaviors.test_engine)?;
    let reach = Reach::<SuiteLevel>::of(caller, &organization);
    let suites = organization.suites().iter();
    let rows: Vec<&Suite> = suites.filter(|suite| reach.can_see(suite.id)).collect();
    let url = call.url();
    Ok(call.listing(&url, call.behaviors.suite_paging).render(&rows, |suite| {
        object_json::suite(&organization, &call.service.origin, suite)
    }))
}

pub(super) fn get(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    let organization = call.service.organization();
    let caller = call.caller(SCOPE, &organization)?;
    require_feature(call.behaviors.test_engine)?;
    let reach = Reach::<SuiteLevel>::of(caller, &organization);
    let slug = call.target.object.as_deref();
    let suite = slug.and_then(|slug| organization.suite_by_slug(slug));
    let suite = suite.filter(|suite| reach.can_see(suite.id));
    let suite = suite.ok_or_else(|| response::not_found("suite"))?;
    Ok(Response::ok(&object_json::suite(
        &organization,
        &call.service.origin,
        suite,
    )))
}
