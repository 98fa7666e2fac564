//! Listings of users, teams and team grants. Each is complete or an error.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::page_token;
use super::page_token::List;
use super::prefetch::PrefetchableRow;
use super::unlisted_users::UnlistedUser;
use crate::governance::credential_status::EVIDENCE_MAX_AGE;
use crate::governance::{Governance, GovernanceError, OwnerRole, PartialVisibility};
use crate::providers::buildkite::pagination::{Batch, Cursor};
use crate::providers::buildkite::{
    ApiError, ApiErrorKind, CallContext, Endpoint, OrganizationMember, Role, Team, TeamId, TeamMember, UserId,
};
use crate::telemetry::metrics::SYNC_LAST_SUCCESS;

/// A part of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// The token of the next page; empty at the end.
    pub next: String,
}

/// A user's role in a team.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TeamGrant {
    /// The user.
    pub user: UserId,
    /// The user's name on the member row.
    pub name: Option<String>,
    /// The role that is held.
    pub role: Role,
}

impl Governance {
    /// The organization's people, from `page_token` on and `limit` at most, and at its end those whom only member rows name.
    ///
    /// # Errors
    /// For a wrong token, or whatever keeps the list from being read whole.
    pub async fn users(
        &self,
        page_token: &str,
        limit: Option<NonZeroUsize>,
        sync: &str,
        call: &CallContext,
    ) -> Result<Page<OrganizationMember>, GovernanceError> {
        if let Ok(Cursor::After(last)) = page_token::read(page_token, List::Unlisted, self.organization()) {
            let unlisted = self.unlisted_users.unlisted_after(sync, last.into());
            return Ok(self.final_page(vec![], unlisted, limit));
        }
        let from = page_token::read(page_token, List::People, self.organization())?;
        let first = from == Cursor::Start;
        let Batch { rows, next, .. } = match self.prefetch.people(sync, from, limit, call).await {
            Ok(batch) => batch,
            Err(error) => return Err(self.call_error(error, call).await),
        };
        if rows.is_empty() && first {
            return self.reject_empty_user_list(call).await;
        }
        if self.settings.provisioning {
            self.provisioning.display_names.record_users(&rows);
        }
        let added = self
            .unlisted_users
            .users(sync, first, next.is_none(), rows.iter().map(|row| row.id));
        if next.is_none() {
            return Ok(self.final_page(rows, added, limit));
        }
        Ok(Page {
            rows,
            next: page_token::write(next, List::People, self.organization()),
        })
    }

    /// The last rows of the people list, and as many of those who are added to it as the page may hold.
    fn final_page(
        &self,
        mut rows: Vec<OrganizationMember>,
        added: Vec<UnlistedUser>,
        limit: Option<NonZeroUsize>,
    ) -> Page<OrganizationMember> {
        let room = limit.map_or(usize::MAX, |limit| limit.get().saturating_sub(rows.len()));
        let rest = added.len() > room;
        let mut last = Uuid::nil();
        for UnlistedUser { user, name } in added.into_iter().take(room) {
            last = user.uuid();
            rows.push(OrganizationMember {
                id: user,
                name,
                email: None,
                role: None,
                sso_mode: None,
            });
        }
        let next = rest.then_some(Cursor::After(last));
        Page {
            rows,
            next: page_token::write(next, List::Unlisted, self.organization()),
        }
    }

    /// The organization's teams, from `page_token` on and `limit` at most.
    ///
    /// # Errors
    /// For a wrong token, for a view that is known to be partial, or whatever keeps the list from being read whole.
    pub async fn teams(
        &self,
        page_token: &str,
        limit: Option<NonZeroUsize>,
        sync: &str,
        call: &CallContext,
    ) -> Result<Page<Team>, GovernanceError> {
        let from = page_token::read(page_token, List::Teams, self.organization())?;
        let first = from == Cursor::Start;
        // Later pages belong to a view that was looked at when the first was read, unless another process read it.
        self.ensure_complete_view(if first { EVIDENCE_MAX_AGE } else { Duration::MAX }, call)
            .await?;
        let mut batch = self.fetch_teams(sync, from, limit, call).await?;
        if batch.rows.is_empty() && first {
            self.confirm_empty_list(call).await?;
            batch = self.fetch_teams(sync, Cursor::Start, limit, call).await?;
            if batch.rows.is_empty() {
                self.confirm_no_teams(call).await?;
            }
        }
        let Batch { rows, next, .. } = batch;
        if next.is_none() {
            // Behind every window, whenever it was read.
            self.ensure_view_still_complete(call).await?;
        }
        self.list_history.record_team(rows.first().map(|row| row.id));
        self.provisioning.display_names.record_teams(&rows);
        self.unlisted_users
            .teams(sync, first, next.is_none(), rows.iter().map(|row| row.id));
        if let Some((_, teams)) = self.unlisted_users.progress(sync) {
            self.log_forecast(teams);
        }
        Ok(Page {
            rows,
            next: page_token::write(next, List::Teams, self.organization()),
        })
    }

    async fn fetch_teams(
        &self,
        sync: &str,
        from: Cursor,
        limit: Option<NonZeroUsize>,
        call: &CallContext,
    ) -> Result<Batch<Team>, GovernanceError> {
        match self.prefetch.teams(sync, from, limit, call).await {
            Ok(batch) => Ok(batch),
            Err(error) => Err(self.call_error(error, call).await),
        }
    }

    /// A whole list, as far as the token is shown it, read now. An empty one is believed as one of a sync is.
    pub(crate) async fn read_all<R: PrefetchableRow>(&self, call: &CallContext) -> Result<Vec<R>, GovernanceError> {
        let mut rows: Vec<R> = self.read_list(call).await?;
        if rows.is_empty() && R::ENDPOINT == Endpoint::OrganizationMembers {
            return self.reject_empty_user_list(call).await;
        }
        if rows.is_empty() {
            rows = self.read_list(call).await?;
        }
        if rows.is_empty() {
            self.confirm_no_teams(call).await?;
        } else if R::ENDPOINT == Endpoint::Teams {
            self.list_history.record_team(rows.first().map(|row| row.id().into()));
        }
        Ok(rows)
    }

    async fn read_list<R: PrefetchableRow>(&self, call: &CallContext) -> Result<Vec<R>, GovernanceError> {
        let mut rows = Vec::new();
        let mut cursor = Some(Cursor::Start);
        let list_call = self.prefetch.with_list_concurrency(call);
        while let Some(from) = cursor {
            let batch = match R::read(Arc::clone(&self.upstream), from, usize::MAX, list_call.clone()).await {
                Ok(batch) => batch,
                Err(error) => return Err(self.call_error(error, call).await),
            };
            rows.extend(batch.rows);
            cursor = batch.next;
        }
        Ok(rows)
    }

    /// The grants of a team, from `page_token` on and `limit` at most.
    ///
    /// # Errors
    /// For a wrong token, for a team that is gone or hidden, for rows of which none has a role that is known, or whatever
    /// keeps the list from being read whole.
    pub async fn grants(
        &self,
        team: TeamId,
        page_token: &str,
        limit: Option<NonZeroUsize>,
        sync: &str,
        call: &CallContext,
    ) -> Result<Page<TeamGrant>, GovernanceError> {
        let (from, unknown_before) =
            page_token::read_noting_roles(page_token, List::Members(team), self.organization())?;
        let first = from == Cursor::Start;
        let mut batch = self.fetch_members(sync, team, from, limit, call).await?;
        if batch.rows.is_empty() && first {
            // Seen once in this process is enough here: an outage or a lost scope is an error, never an empty 200.
            self.credential_status(Duration::MAX, call).await?;
            if self.list_history.had_members(team) {
                batch = self.fetch_members(sync, team, Cursor::Start, limit, call).await?;
            }
        }
        let Batch { rows, next, .. } = batch;
        if first {
            self.list_history.record_members(team, !rows.is_empty());
        }
        let unknown = (unknown_before || (first && !rows.is_empty())) && has_no_known_role(&rows);
        if unknown && next.is_none() {
            return Err(GovernanceError::Unexpected {
                endpoint: Endpoint::Members,
                what: format!("team {team} has members and none with a role that is known here"),
            });
        }
        let named = rows.iter().map(|row| (row.user_id, row.user_name.as_deref()));
        let newly_unlisted = self.unlisted_users.members(sync, team, first, next.is_none(), named);
        if newly_unlisted > 0 {
            tracing::info!(%team, newly_unlisted, "members whom the organization's list did not hold: listed from the next sync on");
        }
        if next.is_none() {
            self.log_progress(sync);
        }
        Ok(Page {
            rows: known_grants(team, rows),
            next: page_token::write_noting_roles(next, unknown, List::Members(team), self.organization()),
        })
    }

    async fn fetch_members(
        &self,
        sync: &str,
        team: TeamId,
        from: Cursor,
        limit: Option<NonZeroUsize>,
        call: &CallContext,
    ) -> Result<Batch<TeamMember>, GovernanceError> {
        match self.prefetch.members(sync, team, from, limit, call).await {
            Ok(batch) => Ok(batch),
            Err(error) => Err(self.team_error(team, error, call).await),
        }
    }

    /// One team.
    ///
    /// # Errors
    /// `TeamNotFound` where that is proven, or whatever keeps it from being read.
    pub async fn team(&self, team: TeamId, call: &CallContext) -> Result<Team, GovernanceError> {
        match self.upstream.team(team, call).await {
            Ok(team) => Ok(team),
            Err(error) => Err(self.team_error(team, error, call).await),
        }
    }

    /// One person.
    ///
    /// # Errors
    /// `UserNotFound` where that is proven, or whatever keeps the record from being read.
    pub async fn user(&self, user: UserId, call: &CallContext) -> Result<OrganizationMember, GovernanceError> {
        match self.upstream.person(user, call).await {
            Ok(person) => Ok(person),
            Err(
                error @ ApiError {
                    kind: ApiErrorKind::NotFound,
                    ..
                },
            ) => Err(match self.is_outsider(user, call).await {
                Ok(true) => GovernanceError::UserNotFound { user },
                Ok(false) => GovernanceError::TeamsUnavailable {
                    endpoint: error.endpoint,
                },
                Err(error) => error,
            }),
            Err(error) => Err(self.call_error(error, call).await),
        }
    }

    /// Frees what a sync held.
    pub fn end_sync(&self, sync: &str) {
        self.prefetch.end(sync);
        let is_whole = self.unlisted_users.end_session(sync);
        // Without an id, what several callers read at any time would be taken for one sync.
        if is_whole && !sync.is_empty() {
            SYNC_LAST_SUCCESS.set_timestamp([], Timestamp::now());
        }
    }

    /// An empty list is believed only when the token and the organization were just seen to be in order.
    async fn confirm_empty_list(&self, call: &CallContext) -> Result<(), GovernanceError> {
        self.credential_status(EVIDENCE_MAX_AGE, call).await.map(|_| ())
    }

    async fn ensure_complete_view(&self, age: Duration, call: &CallContext) -> Result<(), GovernanceError> {
        let standing = self.credential_status(age, call).await?;
        match (standing.owner_role, self.settings.partial_visibility) {
            (OwnerRole::Member, PartialVisibility::Refuse) => Err(GovernanceError::PartialVisibility {
                owner: standing.owner_label(),
            }),
            _ => Ok(()),
        }
    }
}

/// Whether none of the rows has a role that we govern. A list of which that holds is not understood.
fn has_no_known_role(rows: &[TeamMember]) -> bool {
    rows.iter().all(|row| row.role.known().is_none())
}

/// The rows with a role that we govern, one a person: of two rows about one person the later one is what holds now.
fn known_grants(team: TeamId, rows: Vec<TeamMember>) -> Vec<TeamGrant> {
    let listed = rows.len();
    let mut at: HashMap<UserId, usize> = HashMap::with_capacity(listed);
    let mut grants: Vec<TeamGrant> = Vec::with_capacity(listed);
    let mut unknown = 0usize;
    for row in rows {
        let Some(role) = row.role.known() else {
            unknown += 1;
            continue;
        };
        let grant = TeamGrant {
            user: row.user_id,
            name: row.user_name,
            role,
        };
        if let Some(earlier) = at.get(&grant.user).and_then(|at| grants.get_mut(*at)) {
            *earlier = grant;
        } else {
            at.insert(grant.user, grants.len());
            grants.push(grant);
        }
    }
    if unknown > 0 {
        tracing::warn!(%team, unknown, "members with a role that is unknown here are left out of the grants");
    }
    grants
}
