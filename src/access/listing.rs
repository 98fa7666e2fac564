//! Listings: people, teams, and who is in a team. Complete or an error.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::page_token::{self, List};
use super::read_ahead::Listed;
use super::standing::JUST_SEEN;
use super::{Access, AccessError, OwnerRole, PartialVisibility};
use crate::buildkite::pages::{Batch, PART, Position};
use crate::buildkite::{ApiError, Call, Endpoint, OrganizationMember, Role, Team, TeamId, TeamMember, Trouble, UserId};
use crate::metrics::SYNC_LAST_SUCCESS;

/// A part of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// What to ask for the next part with; empty at the end.
    pub next: String,
}

/// Somebody with a role that we govern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Who.
    pub user: UserId,
    /// Their name on the member row.
    pub name: Option<String>,
    /// The role that is held.
    pub role: Role,
}

impl Access {
    /// The organization's people, from `page_token` on, and at its end those whom only member rows name.
    ///
    /// # Errors
    /// For a wrong token, or whatever keeps the list from being read whole.
    pub async fn people(
        &self,
        page_token: &str,
        sync: &str,
        call: &Call,
    ) -> Result<Page<OrganizationMember>, AccessError> {
        let from = page_token::read(page_token, List::People, self.organization())?;
        let first = from == Position::Start;
        let Batch { mut rows, next, .. } = match self.read_ahead.people(sync, from, call).await {
            Ok(batch) => batch,
            Err(error) => return Err(self.explain(error, call).await),
        };
        if rows.is_empty() && first {
            self.vouch_for_nobody(call).await?;
        }
        if self.settings.provisioning {
            self.provisioning.names.people(&rows);
        }
        let added = self
            .closure
            .people(sync, first, next.is_none(), rows.iter().map(|row| row.id));
        rows.extend(added.into_iter().map(|unlisted| OrganizationMember {
            id: unlisted.user,
            name: unlisted.name,
            email: None,
            role: None,
            sso_mode: None,
        }));
        Ok(Page {
            rows,
            next: page_token::write(next, List::People, self.organization()),
        })
    }

    /// The organization's teams, from `page_token` on.
    ///
    /// # Errors
    /// For a wrong token, for a view that is known to be partial, or whatever keeps the list from being read whole.
    pub async fn teams(&self, page_token: &str, sync: &str, call: &Call) -> Result<Page<Team>, AccessError> {
        let from = page_token::read(page_token, List::Teams, self.organization())?;
        let first = from == Position::Start;
        // Later pages belong to a view that was looked at when the first was read, unless another process read it.
        self.refuse_partial_view(if first { JUST_SEEN } else { Duration::MAX }, call)
            .await?;
        let Batch { rows, next, .. } = match self.read_ahead.teams(sync, from, call).await {
            Ok(batch) => batch,
            Err(error) => return Err(self.explain(error, call).await),
        };
        if rows.is_empty() && first {
            self.vouch_for_emptiness(call).await?;
        }
        if next.is_none() {
            // Behind every window, whenever it was read.
            self.refuse_view_that_became_partial(call).await?;
        }
        self.provisioning.names.teams(&rows);
        self.closure
            .teams(sync, first, next.is_none(), rows.iter().map(|row| row.id));
        if let Some((_, teams)) = self.closure.progress(sync) {
            self.tell_forecast(teams);
        }
        Ok(Page {
            rows,
            next: page_token::write(next, List::Teams, self.organization()),
        })
    }

    /// A whole list, as far as the token is shown it, read now.
    pub(super) async fn whole<R: Listed>(&self, call: &Call) -> Result<Vec<R>, AccessError> {
        let mut rows = Vec::new();
        let mut position = Some(Position::Start);
        let together = self.read_ahead.together(call);
        while let Some(from) = position {
            let batch = match R::read(Arc::clone(&self.upstream), from, usize::MAX, together.clone()).await {
                Ok(batch) => batch,
                Err(error) => return Err(self.explain(error, call).await),
            };
            rows.extend(batch.rows);
            position = batch.next;
        }
        Ok(rows)
    }

    /// Who holds what in a team, from `page_token` on.
    ///
    /// # Errors
    /// For a wrong token, for a team that is gone or hidden, for rows of which none has a role that is known, or whatever
    /// keeps the list from being read whole.
    pub async fn holders(
        &self,
        team: TeamId,
        page_token: &str,
        sync: &str,
        call: &Call,
    ) -> Result<Page<Holder>, AccessError> {
        let from = page_token::read(page_token, List::Members(team), self.organization())?;
        let first = from == Position::Start;
        let batch = match from {
            Position::Start => self.read_ahead.members(sync, team, call).await,
            further => {
                self.upstream
                    .members(team, further, PART, &self.read_ahead.together(call))
                    .await
            }
        };
        let Batch { rows, next, .. } = match batch {
            Ok(batch) => batch,
            Err(error) => return Err(self.about_team(team, error, call).await),
        };
        if rows.is_empty() && first {
            // Seen once in this process is enough here: an outage or a lost scope is an error, never an empty 200.
            self.standing(Duration::MAX, call).await?;
        }
        refuse_unknown_roles(team, &rows)?;
        let named = rows.iter().map(|row| (row.user_id, row.user_name.as_deref()));
        let strangers = self.closure.members(sync, team, first, next.is_none(), named);
        if strangers > 0 {
            tracing::info!(%team, strangers, "members whom the organization's list did not hold: listed from the next sync on");
        }
        if next.is_none() {
            self.tell_progress(sync);
        }
        Ok(Page {
            rows: known_holders(team, rows),
            next: page_token::write(next, List::Members(team), self.organization()),
        })
    }

    /// One team.
    ///
    /// # Errors
    /// `TeamNotFound` where that is proven, or whatever keeps it from being read.
    pub async fn team(&self, team: TeamId, call: &Call) -> Result<Team, AccessError> {
        match self.upstream.team(team, call).await {
            Ok(team) => Ok(team),
            Err(error) => Err(self.about_team(team, error, call).await),
        }
    }

    /// One person.
    ///
    /// # Errors
    /// `UserNotFound` where that is proven, or whatever keeps the record from being read.
    pub async fn person(&self, user: UserId, call: &Call) -> Result<OrganizationMember, AccessError> {
        match self.upstream.person(user, call).await {
            Ok(person) => Ok(person),
            Err(
                error @ ApiError {
                    trouble: Trouble::NotFound,
                    ..
                },
            ) => Err(match self.is_outside(user, call).await {
                Ok(true) => AccessError::UserNotFound { user },
                Ok(false) => AccessError::TeamsUnavailable { call: error.endpoint },
                Err(error) => error,
            }),
            Err(error) => Err(self.explain(error, call).await),
        }
    }

    /// Frees what a sync held.
    pub fn end_sync(&self, sync: &str) {
        self.read_ahead.end(sync);
        let is_whole = self.closure.end(sync);
        // Without an id, what several callers read at any time would be taken for one sync.
        if is_whole && !sync.is_empty() {
            SYNC_LAST_SUCCESS.set_to([], Timestamp::now());
        }
    }

    /// An empty list is believed only when the token and the organization were just seen to be in order.
    async fn vouch_for_emptiness(&self, call: &Call) -> Result<(), AccessError> {
        self.standing(JUST_SEEN, call).await.map(|_| ())
    }

    /// An organization without people is a contradiction where the token's owner was just seen to be one of them.
    async fn vouch_for_nobody(&self, call: &Call) -> Result<(), AccessError> {
        let standing = self.standing(JUST_SEEN, call).await?;
        if standing.owner_role == OwnerRole::Unknown {
            return Ok(());
        }
        Err(AccessError::Unexpected {
            call: Endpoint::People,
            what: "an empty list, though the token's owner is in the organization".to_owned(),
        })
    }

    async fn refuse_partial_view(&self, age: Duration, call: &Call) -> Result<(), AccessError> {
        let standing = self.standing(age, call).await?;
        match (standing.owner_role, self.settings.partial_visibility) {
            (OwnerRole::Member, PartialVisibility::Refuse) => Err(AccessError::PartialVisibility {
                owner: standing.owner_label(),
            }),
            _ => Ok(()),
        }
    }
}

/// A list that has rows but none with a role that we govern is not understood.
fn refuse_unknown_roles(team: TeamId, rows: &[TeamMember]) -> Result<(), AccessError> {
    if rows.is_empty() || rows.iter().any(|row| row.role.known().is_some()) {
        return Ok(());
    }
    let listed = rows.len();
    Err(AccessError::Unexpected {
        call: Endpoint::Members(team),
        what: format!("team {team} has {listed} members and none with a role that is known here"),
    })
}

/// The rows with a role that we govern, one a person: of two rows about one person the later one is what holds now.
fn known_holders(team: TeamId, rows: Vec<TeamMember>) -> Vec<Holder> {
    let listed = rows.len();
    let mut at: HashMap<UserId, usize> = HashMap::with_capacity(listed);
    let mut holders: Vec<Holder> = Vec::with_capacity(listed);
    let mut unknown = 0usize;
    for row in rows {
        let Some(role) = row.role.known() else {
            unknown += 1;
            continue;
        };
        let holder = Holder {
            user: row.user_id,
            name: row.user_name,
            role,
        };
        if let Some(earlier) = at.get(&holder.user).and_then(|at| holders.get_mut(*at)) {
            *earlier = holder;
        } else {
            at.insert(holder.user, holders.len());
            holders.push(holder);
        }
    }
    if unknown > 0 {
        tracing::warn!(%team, unknown, "members with a role that is unknown here are left out of the grants");
    }
    holders
}
