//! What is never written to, whatever was approved: protected teams, protected people, and the connector's own power.
//!
//! Slugs and e-mails are turned into ids from whole lists, which are read again only when they are older than `--directory-max-age`. An
//! id that a name once led to stays protected for as long as this process lives, so that renaming a team takes no protection
//! away. A name that leads to nothing, after a typing error or a renaming that another process saw, protects nothing and must
//! not do so silently: until it is corrected, no write is made at all, and health says so. Health looks the names up as well, so
//! that it does not take a grant to find out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex as Lock, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::Instant;

use super::Provisioning;
use super::plan::Write;
use crate::governance::directory::Freshness;
use crate::governance::model::{Membership, ResourceId, ResourceKind};
use crate::governance::provider::Assignable;
use crate::governance::{CallContext, GovernanceError, Lane};

/// For how long a name that led to nothing is not looked up again.
const UNRESOLVED_NAME_TTL: Duration = Duration::from_secs(15);

/// Health looks names up again after this many times as long as the last look took, where that is longer than the setting: in a
/// large organization, it must not spend the rate limit on it.
const LOOKUP_PAUSE_FACTOR: u32 = 20;

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
pub(crate) struct Protections {
    ids: Arc<Mutex<ProtectedIds>>,
    names: Lock<ProtectedNames>,
}

/// How the protected names stood when they were looked up last.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum ProtectedNames {
    /// They were not looked up yet.
    #[default]
    Unread,
    /// They could not be looked up, and never were before.
    Unreadable(GovernanceError),
    /// Each leads to a team or a person.
    Found,
    /// One leads to nothing; a sentence about it.
    Unknown(String),
    /// One led to something and does not any more; a sentence about it.
    Gone(String),
}

impl Protections {
    fn names(&self) -> ProtectedNames {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps how the names stand, and says on the log what changed.
    fn record(&self, now: ProtectedNames) {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if *names == now {
            return;
        }
        match &now {
            ProtectedNames::Unknown(name) => {
                tracing::error!("{name}: no grant or revoke is carried out until this is corrected");
            }
            ProtectedNames::Gone(name) => tracing::warn!("{name}"),
            ProtectedNames::Unreadable(error) => tracing::warn!(%error, "the protected names could not be looked up"),
            ProtectedNames::Unread | ProtectedNames::Found => {}
        }
        *names = now;
    }
}

#[derive(Debug, Default)]
struct ProtectedIds {
    read: Option<Instant>,
    /// How long that took.
    lookup_duration: Duration,
    teams: HashMap<ResourceId, String>,
    users: HashMap<ResourceId, String>,
    /// The first name that led to nothing.
    unknown: Option<String>,
}

impl ProtectedIds {
    fn is_current(&self, max_age: Duration, unknown_for: Duration) -> bool {
        let age = if self.unknown.is_some() {
            unknown_for.min(max_age)
        } else {
            max_age
        };
        self.read.is_some_and(|read| read.elapsed() < age)
    }
}

impl Provisioning {
    /// Lets a write pass that no guard forbids.
    pub(crate) async fn guard(
        &self,
        levels: &dyn Assignable,
        membership: Membership,
        write: Write,
        call: &CallContext,
    ) -> Result<(), GovernanceError> {
        if !self.settings.protected.is_empty() {
            self.guard_protected(membership, call).await?;
        }
        let label = self.directory.resource_label(membership.resource);
        levels.guard(membership, write, &label, call).await
    }

    async fn guard_protected(&self, membership: Membership, call: &CallContext) -> Result<(), GovernanceError> {
        let mut ids = self.protections.ids.lock().await;
        if !ids.is_current(self.settings.directory_max_age, UNRESOLVED_NAME_TTL) {
            self.look_up_protected(&mut ids, call).await?;
        }
        let guard = if let Some(slug) = ids.teams.get(&membership.resource) {
            format!("the team `{slug}` is protected: change it in buildkite itself, or take it out of --protect-team")
        } else if let Some(email) = ids.users.get(&membership.principal) {
            format!("{email} is protected: change their teams in buildkite itself, or take them out of --protect-user")
        } else if let Some(unknown) = &ids.unknown {
            format!("{unknown}, so nothing tells what it protects and no change is made: correct the setting")
        } else {
            return Ok(());
        };
        Err(GovernanceError::Protected { guard })
    }

    /// How the protected names stand; none where there are none, or where nothing is written anyway.
    pub(crate) fn protected_names(&self) -> Option<ProtectedNames> {
        let is_guarded = self.settings.enabled && !self.settings.protected.is_empty();
        is_guarded.then(|| self.protections.names())
    }

    /// Looks the protected names up for health, where what is known of them is too old. That costs whole lists, so a look that
    /// was begun goes on when its caller stops waiting.
    pub(crate) async fn refresh_protected_names(self: &Arc<Self>) {
        if self.protected_names().is_none() {
            return;
        }
        let ids = Arc::clone(&self.protections.ids).lock_owned().await;
        let pause = ids.lookup_duration.saturating_mul(LOOKUP_PAUSE_FACTOR);
        let max_age = self.settings.directory_max_age.max(pause);
        let unknown_for = self.settings.health_max_age.max(UNRESOLVED_NAME_TTL).max(pause);
        if ids.is_current(max_age, unknown_for) {
            return;
        }
        let provisioning = Arc::clone(self);
        let looking = tokio::spawn(async move { provisioning.look_up_detached(ids).await });
        // It fails by a panic, which was reported, or because the process ends.
        let _ = looking.await;
    }

    /// In the lane of grants and revokes: until this is known none is carried out, and what it reads saves the next one a read.
    async fn look_up_detached(&self, mut ids: OwnedMutexGuard<ProtectedIds>) {
        let call = CallContext::new(Lane::Provisioning).with_cancellation(&self.shutdown);
        // What it finds, or why it finds nothing, is noted.
        let _ = self.look_up_protected(&mut ids, &call).await;
        drop(ids);
        self.changed.notify_one();
    }

    async fn look_up_protected(&self, ids: &mut ProtectedIds, call: &CallContext) -> Result<(), GovernanceError> {
        let started = Instant::now();
        let looked = self.read_protected(ids, started, call).await;
        ids.lookup_duration = started.elapsed();
        let protections = &self.protections;
        match &looked {
            Ok(gone) => {
                ids.read = Some(started);
                let gone = gone.clone().map(ProtectedNames::Gone);
                protections.record(
                    ids.unknown
                        .clone()
                        .map(ProtectedNames::Unknown)
                        .or(gone)
                        .unwrap_or(ProtectedNames::Found),
                );
            }
            // What was found before still counts.
            Err(error) if ids.read.is_none() => protections.record(ProtectedNames::Unreadable(error.clone())),
            Err(_) => {}
        }
        looked.map(drop)
    }

    /// Reads what the names lead to; a sentence about the first that led to something before and does not any more.
    async fn read_protected(
        &self,
        ids: &mut ProtectedIds,
        started: Instant,
        call: &CallContext,
    ) -> Result<Option<String>, GovernanceError> {
        let Protected { teams, users } = &self.settings.protected;
        let (mut unknown, mut gone) = (None, None);
        if !teams.is_empty() {
            let shown = self.slugs(call).await?;
            for slug in teams {
                let led_to = shown.iter().filter(|(_, shown)| shown.eq_ignore_ascii_case(slug));
                let before = ids.teams.values().any(|name| name == slug);
                let found: Vec<_> = led_to.map(|(team, _)| (*team, slug.clone())).collect();
                if found.is_empty() {
                    let first = if before { &mut gone } else { &mut unknown };
                    first.get_or_insert(missing_team_text(slug, before));
                }
                ids.teams.extend(found);
            }
        }
        for email in users {
            let mut found = self
                .users_with_email(email, Freshness::YoungerThan(self.settings.directory_max_age), call)
                .await?;
            if found.is_empty()
                && let Some(recently) = started.checked_sub(UNRESOLVED_NAME_TTL)
            {
                found = self
                    .users_with_email(email, Freshness::ReadAfter(recently), call)
                    .await?;
            }
            if found.is_empty() {
                let before = ids.users.values().any(|name| name == email);
                let first = if before { &mut gone } else { &mut unknown };
                first.get_or_insert(missing_user_text(email, before));
            }
            ids.users.extend(found.into_iter().map(|user| (user, email.clone())));
        }
        ids.unknown = unknown;
        Ok(gone)
    }

    async fn slugs(&self, call: &CallContext) -> Result<Vec<(ResourceId, String)>, GovernanceError> {
        let teams = self.listings.all(self.type_of_kind(ResourceKind::Group)?, call).await?;
        Ok(teams
            .into_iter()
            .filter_map(|team| Some((team.id, team.handle?)))
            .collect())
    }
}

fn missing_team_text(slug: &str, before: bool) -> String {
    if before {
        format!(
            "--protect-team names `{slug}`, which no team is called any more; the team that was stays protected until a restart"
        )
    } else {
        format!("--protect-team names `{slug}`, which is no team that this token is shown")
    }
}

fn missing_user_text(email: &str, before: bool) -> String {
    if before {
        format!(
            "--protect-user names {email}, which no person in the organization has any more; the person who had it stays \
             protected until a restart"
        )
    } else {
        format!("--protect-user names {email}, which no person in the organization has")
    }
}
