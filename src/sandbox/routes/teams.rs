//! The teams that the caller can see. Only admins and a secret team's own members see it, and the list does not show
//! other callers that it is missing.

use http::StatusCode;

use super::{Call, Caller};
use crate::sandbox::behaviors::TeamsDisabled;
use crate::sandbox::endpoint;
use crate::sandbox::json::TeamJson;
use crate::sandbox::organization::{Organization, Privacy, Team};
use crate::sandbox::response::{self, ErrorResponse, Response};

const SCOPE: &str = "read_teams";

pub(super) fn list(call: &Call<'_>) -> Result<Response, ErrorResponse> {
    let organization = call.service.organization();
    let caller = call.caller(SCOPE, &organization)?;
    let wanted = call.query.parameter("user_id").map(endpoint::parse_uuid);
    let of_user = |team: &&Team| match wanted {
        None => true,
        Some(user) => user.is_some_and(|user| team.member(user).is_some()),
    };
    let rows: Vec<&Team> = match call.behaviors.teams_disabled {
        TeamsDisabled::No => organization
            .teams()
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
    let (team, _) = visible_team(call, SCOPE, &organization)?;
    Ok(Response::ok(&TeamJson::new(&organization, team)))
}

/// The call's team, if the caller can see it.
pub(super) fn visible_team<'o>(
    call: &Call<'_>,
    scope: &str,
    organization: &'o Organization,
) -> Result<(&'o Team, Caller), ErrorResponse> {
    let caller = call.caller(scope, organization)?;
    match call.behaviors.teams_disabled {
        TeamsDisabled::No => {}
        TeamsDisabled::Forbidden => return Err(response::forbidden()),
        TeamsDisabled::Empty | TeamsDisabled::NotFound => return Err(response::not_found("team")),
    }
    let team = call
        .target
        .team
        .and_then(|team| organization.team(team))
        .filter(|team| caller.can_see(team));
    team.map(|team| (team, caller))
        .ok_or_else(|| response::not_found("team"))
}

impl Caller {
    fn can_see(self, team: &Team) -> bool {
        self.admin || team.privacy == Privacy::Visible || team.member(self.user).is_some()
    }
}
