//! When an empty list is believed.
//!
//! An empty list is what an outage looks like that nobody notices: it is a valid answer, and every row that it lacks looks
//! revoked. So it is held against what is known. People: the token's owner is one of them, so their list is never empty. Teams:
//! the list is read twice, and a team that this process saw is requested by its id. A team's members: the list is read twice
//! where this process saw somebody in it.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::governance::credential_status::EVIDENCE_MAX_AGE;
use crate::governance::{Governance, GovernanceError};
use crate::providers::buildkite::{ApiError, ApiErrorKind, CallContext, Endpoint, TeamId};

/// What this process saw in lists that an empty one is held against.
#[derive(Debug, Default)]
pub(crate) struct ListHistory {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// A team of the latest list that had any.
    team: Option<TeamId>,
    /// Teams whose latest list had members.
    populated: HashSet<TeamId>,
}

impl ListHistory {
    /// Notes a team of a list.
    pub(crate) fn record_team(&self, listed: Option<TeamId>) {
        if listed.is_some() {
            self.lock().team = listed;
        }
    }

    /// Notes whether the list of a team's members had any.
    pub(crate) fn record_members(&self, team: TeamId, any: bool) {
        let mut state = self.lock();
        if any {
            state.populated.insert(team);
        } else {
            state.populated.remove(&team);
        }
    }

    /// Whether the latest list of the team's members had any.
    pub(crate) fn had_members(&self, team: TeamId) -> bool {
        self.lock().populated.contains(&team)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Governance {
    /// Refuses an empty list of people: the token's owner is one of them.
    ///
    /// # Errors
    /// Always: what keeps the token or the organization from being read, which may be why the list is empty, or `Unexpected`.
    pub(crate) async fn reject_empty_user_list<T>(&self, call: &CallContext) -> Result<T, GovernanceError> {
        self.credential_status(EVIDENCE_MAX_AGE, call).await?;
        Err(GovernanceError::Unexpected {
            endpoint: Endpoint::OrganizationMembers,
            what: "an empty list, though the token's owner is in the organization".to_owned(),
        })
    }

    /// Accepts that there are no teams, after their list was read twice without any.
    ///
    /// # Errors
    /// `Unexpected` where a team that was listed before answers, or what keeps it from being requested.
    pub(crate) async fn confirm_no_teams(&self, call: &CallContext) -> Result<(), GovernanceError> {
        let Some(team) = self.list_history.lock().team else {
            return Ok(());
        };
        match self.upstream.team(team, call).await {
            Ok(_) => Err(GovernanceError::Unexpected {
                endpoint: Endpoint::Teams,
                what: format!("an empty list, twice, though team {team} answers"),
            }),
            Err(ApiError {
                kind: ApiErrorKind::NotFound,
                ..
            }) => Ok(()),
            Err(error) => Err(self.call_error(error, call).await),
        }
    }
}
