//! What is never written to, whatever was approved: protected teams, protected people, and the connector's own power.
//!
//! Slugs and e-mails are turned into ids from whole lists, which are read again only when they are older than `--directory-max-age`. An
//! id that a name once led to stays protected for as long as this process lives, so that renaming a team takes no protection
//! away. A name that leads to nothing, after a typing error or a renaming that another process saw, protects nothing and must
//! not do so silently: until it is corrected, no write is made at all.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::super::{Access, AccessError, OwnerRole};
use super::decision::Write;
use super::principal::Freshness;
use super::turns::Pair;
use crate::buildkite::{Call, Role, Team, TeamId, TokenOwner, UserId};

/// For how long a name that led to nothing is not looked up again.
const UNKNOWN_FOR: Duration = Duration::from_secs(15);

/// What the operator protects.
#[derive(Debug, Clone, Default)]
pub struct Protected {
    /// Teams by slug (`--protect-team`).
    pub teams: Vec<String>,
    /// People by e-mail (`--protect-user`).
    pub users: Vec<String>,
}

impl Protected {
    fn is_empty(&self) -> bool {
        self.teams.is_empty() && self.users.is_empty()
    }
}

/// What the names led to.
#[derive(Debug, Default)]
pub(super) struct Guards {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    read: Option<Instant>,
    teams: HashMap<TeamId, String>,
    users: HashMap<UserId, String>,
    /// The first name that led to nothing.
    unknown: Option<String>,
}

impl Known {
    fn is_good(&self, max_age: Duration) -> bool {
        let age = if self.unknown.is_some() {
            UNKNOWN_FOR.min(max_age)
        } else {
            max_age
        };
        self.read.is_some_and(|read| read.elapsed() < age)
    }
}

impl Access {
    /// Lets a write pass that no guard forbids.
    pub(super) async fn guard(&self, pair: Pair, write: Write, call: &Call) -> Result<(), AccessError> {
        if !self.settings.protected.is_empty() {
            self.guard_protected(pair, call).await?;
        }
        match write {
            Write::Remove(Role::Maintainer)
            | Write::Change {
                from: Role::Maintainer, ..
            } => self.guard_own_power(pair, call).await,
            _ => Ok(()),
        }
    }

    async fn guard_protected(&self, pair: Pair, call: &Call) -> Result<(), AccessError> {
        let mut known = self.provisioning.guards.known.lock().await;
        if !known.is_good(self.settings.directory_max_age) {
            self.look_up_protected(&mut known, call).await?;
        }
        let guard = if let Some(slug) = known.teams.get(&pair.team) {
            format!("the team `{slug}` is protected: change it in buildkite itself, or take it out of --protect-team")
        } else if let Some(email) = known.users.get(&pair.user) {
            format!("{email} is protected: change their teams in buildkite itself, or take them out of --protect-user")
        } else if let Some(unknown) = &known.unknown {
            format!("{unknown}, so nothing tells what it protects and no change is made: correct the setting")
        } else {
            return Ok(());
        };
        Err(AccessError::Protected { guard })
    }

    async fn look_up_protected(&self, known: &mut Known, call: &Call) -> Result<(), AccessError> {
        let begun = Instant::now();
        let Protected { teams, users } = &self.settings.protected;
        let mut unknown = None;
        if !teams.is_empty() {
            let shown = self.slugs(call).await?;
            for slug in teams {
                let led_to = shown.iter().filter(|(_, shown)| shown.eq_ignore_ascii_case(slug));
                let before = known.teams.values().any(|known| known == slug);
                let found: Vec<_> = led_to.map(|(team, _)| (*team, slug.clone())).collect();
                if found.is_empty() && !before {
                    unknown.get_or_insert(format!(
                        "--protect-team names `{slug}`, which is no team that this token is shown"
                    ));
                }
                known.teams.extend(found);
            }
        }
        for email in users {
            let holders = self.holders_of(email, Freshness::Kept, call).await?;
            if holders.is_empty() && !known.users.values().any(|known| known == email) {
                unknown.get_or_insert(format!(
                    "--protect-user names {email}, whom nobody in the organization is"
                ));
            }
            known
                .users
                .extend(holders.into_iter().map(|user| (user, email.clone())));
        }
        known.unknown = unknown;
        known.read = Some(begun);
        Ok(())
    }

    async fn slugs(&self, call: &Call) -> Result<Vec<(TeamId, String)>, AccessError> {
        let teams = self.whole::<Team>(call).await?;
        self.provisioning.names.teams(&teams);
        Ok(teams
            .into_iter()
            .filter_map(|team| Some((team.id, team.slug?)))
            .collect())
    }

    /// The token's owner stays maintainer where they govern the team by that alone: nobody could give it back through us.
    async fn guard_own_power(&self, pair: Pair, call: &Call) -> Result<(), AccessError> {
        // Whose the token is does not change; what they are in the organization does, and is read anew where it counts.
        let standing = self.standing(Duration::MAX, call).await?;
        let is_owner = match (&standing.owner, &standing.token.user) {
            (Some(owner), _) => owner.id == pair.user,
            // Without `read_user` the owner's address is known, and whose it is can be asked.
            (None, Some(TokenOwner { email: Some(email), .. })) => self.still_has(pair.user, email, call).await?,
            (None, _) => {
                tracing::warn!("the token's owner is not known, so it cannot be told whether a change is about them");
                false
            }
        };
        if !is_owner || self.standing(Duration::ZERO, call).await?.owner_role == OwnerRole::Admin {
            return Ok(());
        }
        Err(AccessError::Protected {
            guard: format!(
                "{} owns the connector's token and is not known to be an organization admin, so without them as maintainer \
                 the connector could change {} no more: use an admin's token",
                standing.owner_label(),
                self.provisioning.names.team(pair.team),
            ),
        })
    }
}
