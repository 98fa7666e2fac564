//! Teams, as far as the caller is shown them: secret ones are for admins and for their own members, and nothing tells
//! anybody else that the list is shorter.

use http::StatusCode;

use super::{Call, Caller};
use crate::sandbox::answers::{self, Answer, Refusal};
use crate::sandbox::documents::TeamDocument;
use crate::sandbox::endpoint;
use crate::sandbox::habits::TeamsDisabled;
use crate::sandbox::organization::{Organization, Privacy, Team};

const SCOPE: &str = "read_teams";

pub(super) fn list(call: &Call<'_>) -> Result<Answer, Refusal> {
    let organization = call.service.organization();
    let caller = call.caller(SCOPE, &organization)?;
    let wanted = call.asked.parameter("user_id").map(endpoint::uuid);
    let of_user = |team: &&Team| match wanted {
        None => true,
        Some(user) => user.is_some_and(|user| team.member(user).is_some()),
    };
    let rows: Vec<&Team> = match call.habits.teams_disabled {
        TeamsDisabled::No => organization
            .teams()
            .iter()
            .filter(|team| caller.is_shown(team))
            .filter(of_user)
            .collect(),
        TeamsDisabled::Empty => Vec::new(),
        TeamsDisabled::Forbidden => return Err(answers::forbidden()),
        TeamsDisabled::NotFound => return Err(Answer::message(StatusCode::NOT_FOUND, "Not Found")),
    };
    let url = call.url();
    Ok(call
        .listing(&url, call.habits.team_paging)
        .of(&rows, |team| TeamDocument::new(&organization, team)))
}

pub(super) fn one(call: &Call<'_>) -> Result<Answer, Refusal> {
    let organization = call.service.organization();
    let (team, _) = shown(call, SCOPE, &organization)?;
    Ok(Answer::ok(&TeamDocument::new(&organization, team)))
}

/// The team that a call is about, if the caller is shown it.
pub(super) fn shown<'o>(
    call: &Call<'_>,
    scope: &str,
    organization: &'o Organization,
) -> Result<(&'o Team, Caller), Refusal> {
    let caller = call.caller(scope, organization)?;
    match call.habits.teams_disabled {
        TeamsDisabled::No => {}
        TeamsDisabled::Forbidden => return Err(answers::forbidden()),
        TeamsDisabled::Empty | TeamsDisabled::NotFound => return Err(answers::not_found("team")),
    }
    let team = call
        .target
        .team
        .and_then(|team| organization.team(team))
        .filter(|team| caller.is_shown(team));
    team.map(|team| (team, caller))
        .ok_or_else(|| answers::not_found("team"))
}

impl Caller {
    fn is_shown(self, team: &Team) -> bool {
        self.admin || team.privacy == Privacy::Visible || team.member(self.user).is_some()
    }
}
