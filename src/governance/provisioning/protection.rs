//! Protections: resources and users that no approved request changes, and the guard against locking the connector out. A request
//! about a protected team is refused whether the team is the resource or the principal.
//!
//! Slugs and e-mail addresses are resolved to ids in complete lists, which are read again only when they are older than
//! `--directory-max-age`. An id that a name once matched stays protected until the process ends, so that renaming a team does not
//! remove its protection. A name that matches nothing, because of a typing error or of a rename before the process started,
//! protects nothing. That must not go unnoticed: until the name is corrected, no write is made at all, and health reports it.
//! Health looks the names up itself, so that the problem is known before the first grant.

use std::collections::HashMap;
use std::sync::{Arc, Mutex as Lock, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::Instant;

use super::plan::Write;
use super::{GuardLock, Provisioning};
use crate::governance::directory::Freshness;
use crate::governance::model::{Membership, ResourceId, ResourceTypeInfo};
use crate::governance::provider::{Assignable, Labels};
use crate::governance::{CallContext, GovernanceError, Lane};
use crate::telemetry::traces;

/// How long a name that matched nothing is not looked up again.
const UNRESOLVED_NAME_TTL: Duration = Duration::from_secs(15);

/// The minimum pause between lookups by health, as a multiple of the duration of the last lookup: in a large organization they must
/// not use up the rate limit.
const LOOKUP_PAUSE_FACTOR: u32 = 20;

/// The names that the operator protects.
#[derive(Debug, Clone, Default)]
pub struct Protected {
    /// Resources other than users.
    pub resources: Vec<ProtectedResource>,
    /// Users by e-mail address (`--protect-user`).
    pub users: Vec<String>,
}

/// A protected resource. The setting that names it is `--protect-` and the id of its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProtectedResource {
    /// The resource's type.
    pub resource_type: &'static ResourceTypeInfo,
    /// The resource's slug.
    pub slug: String,
}

impl Protected {
    fn is_empty(&self) -> bool {
        self.resources.is_empty() && self.users.is_empty()
    }

    /// The types of the protected resources, each once.
    fn resource_types(&self) -> Vec<&'static ResourceTypeInfo> {
        let mut types: Vec<&'static ResourceTypeInfo> = Vec::new();
        for resource in &self.resources {
            if !types.contains(&resource.resource_type) {
                types.push(resource.resource_type);
            }
        }
        types
    }
}

/// The protected ids, and the status of the protected names.
#[derive(Debug, Default)]
pub(crate) struct Protections {
    ids: Arc<Mutex<ProtectedIds>>,
    names: Lock<ProtectedNames>,
}

/// The result of the most recent lookup of the protected names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum ProtectedNames {
    /// There was no lookup yet.
    #[default]
    Unread,
    /// No lookup has succeeded yet; the error of the last.
    Unreadable(GovernanceError),
    /// Each name matches a resource or a user.
    Found,
    /// A name matches nothing; a sentence about it.
    Unknown(String),
    /// A name matched something and no longer does; a sentence about it.
    Gone(String),
}

impl Protections {
    fn names(&self) -> ProtectedNames {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Stores the result of a lookup, and logs a change.
    fn record(&self, found: ProtectedNames) {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if *names == found {
            return;
        }
        match &found {
            ProtectedNames::Unknown(name) => {
                tracing::error!("{name}: no grant or revoke is carried out until this is corrected");
            }
            ProtectedNames::Gone(name) => tracing::warn!("{name}"),
            ProtectedNames::Unreadable(error) => tracing::warn!(%error, "the protected names could not be looked up"),
            ProtectedNames::Unread | ProtectedNames::Found => {}
        }
        *names = found;
    }
}

#[derive(Debug, Default)]
struct ProtectedIds {
    read: Option<Instant>,
    /// The duration of the last lookup.
    lookup_duration: Duration,
    resources: HashMap<ResourceId, String>,
    users: HashMap<ResourceId, String>,
    /// A sentence about the first name that matched nothing.
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
    /// Succeeds if no protection forbids the write. `lock` is kept until the result of the write is known.
    ///
    /// # Errors
    /// `Protected`, or the failure to look up the protected names.
    pub(crate) async fn guard(
        &self,
        levels: &dyn Assignable,
        membership: Membership,
        write: Write,
        labels: &Labels,
        lock: &mut GuardLock,
        call: &CallContext,
    ) -> Result<(), GovernanceError> {
        self.guard_protected(&[membership.resource, membership.principal], call)
            .await?;
        levels.guard(membership, write, labels, lock, call).await
    }

    /// Succeeds if no setting protects one of the resources.
    ///
    /// # Errors
    /// `Protected`, or the failure to look up the protected names.
    pub(crate) async fn guard_protected(
        &self,
        resources: &[ResourceId],
        call: &CallContext,
    ) -> Result<(), GovernanceError> {
        if self.settings.protected.is_empty() {
            return Ok(());
        }
        let mut ids = self.protections.ids.lock().await;
        if !ids.is_current(self.settings.directory_max_age, UNRESOLVED_NAME_TTL) {
            self.look_up_protected(&mut ids, call).await?;
        }
        let mut changed = resources.iter();
        let protected = changed.find_map(|id| Some((id.resource_type, ids.resources.get(id)?)));
        let guard = if let Some((kind, slug)) = protected {
            format!(
                "the {kind} `{slug}` is protected: change it in buildkite itself, or take it out of --protect-{kind}"
            )
        } else if let Some(email) = resources.iter().find_map(|id| ids.users.get(id)) {
            format!("{email} is protected: change their teams in buildkite itself, or take them out of --protect-user")
        } else if let Some(unknown) = &ids.unknown {
            format!(
                "{unknown}, so the connector does not know what it protects and makes no change: correct the setting"
            )
        } else {
            return Ok(());
        };
        Err(GovernanceError::Protected { guard })
    }

    /// The status of the protected names; `None` if there are none, or if no change is allowed.
    pub(crate) fn protected_names(&self) -> Option<ProtectedNames> {
        let is_guarded = !self.settings.allowed.is_empty() && !self.settings.protected.is_empty();
        is_guarded.then(|| self.protections.names())
    }

    /// Looks the protected names up for health, if their status is too old. A lookup reads complete lists, so it continues when its
    /// caller stops waiting.
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
        let lookup = traces::in_current_trace(async move { provisioning.look_up_detached(ids).await });
        let lookup = tokio::spawn(lookup);
        // The task fails only by a panic, which was reported, or because the process ends.
        let _ = lookup.await;
    }

    /// Uses the provisioning lane: grants and revokes wait for the result, and the next one needs no lookup of its own.
    async fn look_up_detached(&self, mut ids: OwnedMutexGuard<ProtectedIds>) {
        let call = CallContext::new(Lane::Provisioning).with_cancellation(&self.shutdown);
        // Both the result and the error are stored.
        let _ = self.look_up_protected(&mut ids, &call).await;
        drop(ids);
        self.changed.notify_one();
    }

    async fn look_up_protected(&self, ids: &mut ProtectedIds, call: &CallContext) -> Result<(), GovernanceError> {
        let started = Instant::now();
        let result = self.read_protected(ids, started, call).await;
        ids.lookup_duration = started.elapsed();
        let protections = &self.protections;
        match &result {
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
            // An earlier result stays valid.
            Err(error) if ids.read.is_none() => protections.record(ProtectedNames::Unreadable(error.clone())),
            Err(_) => {}
        }
        result.map(drop)
    }

    /// Resolves the names. Returns a sentence about the first that matched something before and no longer does.
    async fn read_protected(
        &self,
        ids: &mut ProtectedIds,
        started: Instant,
        call: &CallContext,
    ) -> Result<Option<String>, GovernanceError> {
        let protected = &self.settings.protected;
        let Protected { resources, users } = protected;
        let (mut unknown, mut gone) = (None, None);
        for resource_type in protected.resource_types() {
            let shown = self.slugs(resource_type, call).await?;
            let named = resources.iter().filter(|named| named.resource_type == resource_type);
            for ProtectedResource { slug, .. } in named {
                let matching = shown.iter().filter(|(_, shown)| shown.eq_ignore_ascii_case(slug));
                let mut known = ids.resources.iter();
                let before = known.any(|(id, name)| id.resource_type == resource_type && name == slug);
                let found: Vec<_> = matching.map(|(id, _)| (*id, slug.clone())).collect();
                if found.is_empty() {
                    let first = if before { &mut gone } else { &mut unknown };
                    first.get_or_insert(missing_resource_text(resource_type, slug, before));
                }
                ids.resources.extend(found);
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

    async fn slugs(
        &self,
        resource_type: &'static ResourceTypeInfo,
        call: &CallContext,
    ) -> Result<Vec<(ResourceId, String)>, GovernanceError> {
        let listed = self.listings.all(resource_type, call).await?.into_iter();
        Ok(listed
            .filter_map(|resource| Some((resource.id, resource.handle?)))
            .collect())
    }
}

fn missing_resource_text(kind: &ResourceTypeInfo, slug: &str, before: bool) -> String {
    if before {
        format!(
            "--protect-{kind} names `{slug}`, which no longer matches a {kind}; the {kind} that had this slug stays protected until a \
             restart"
        )
    } else {
        format!("--protect-{kind} names `{slug}`, which matches no {kind} that this token can see")
    }
}

fn missing_user_text(email: &str, before: bool) -> String {
    if before {
        format!(
            "--protect-user names {email}, which no longer matches a user in the organization; the user who had this address stays \
             protected until a restart"
        )
    } else {
        format!("--protect-user names {email}, which matches nobody in the organization")
    }
}
