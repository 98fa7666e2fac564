//! The directory: names of listed resources, for messages and records, and users by e-mail address.
//!
//! The e-mail index is that of the most recent complete list of users. A caller states how fresh it has to be.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Mutex as AsyncMutex;
use tokio::time::Instant;

use super::GovernanceError;
use super::model::{Principal, Resource, ResourceId, ResourceKind};

/// Names that are kept; larger than any known organization.
const MAX_NAMES: usize = 200_000;

/// The required freshness of the list of users.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Freshness {
    /// The cached list, unless it is older than this.
    YoungerThan(std::time::Duration),
    /// A list whose read began at this moment or later. Concurrent callers share one read.
    ReadAfter(Instant),
}

/// Users by e-mail, in lower case.
type ByEmail = HashMap<String, Vec<ResourceId>>;

/// The names of an organization's resources, and its users by e-mail.
#[derive(Debug)]
pub(crate) struct Directory {
    /// Whether the names of users are recorded: only provisioning needs them.
    records_users: bool,
    /// Slugs of teams and e-mail addresses of users: for texts only, never for a decision.
    handles: Mutex<HashMap<ResourceId, String>>,
    /// The users that were read last, and when that read began.
    users: AsyncMutex<Option<(Instant, ByEmail)>>,
}

impl Directory {
    /// An empty directory.
    pub(crate) fn new(records_users: bool) -> Self {
        Self {
            records_users,
            handles: Mutex::default(),
            users: AsyncMutex::default(),
        }
    }

    /// Records the names of listed resources.
    pub(crate) fn record(&self, resources: &[Resource]) {
        let mut handles = self.handles.lock().unwrap_or_else(PoisonError::into_inner);
        for resource in resources {
            if resource.id.resource_type.kind == ResourceKind::User && !self.records_users {
                continue;
            }
            if let Some(handle) = &resource.handle
                && (handles.len() < MAX_NAMES || handles.contains_key(&resource.id))
                && handles.get(&resource.id) != Some(handle)
            {
                handles.insert(resource.id, handle.clone());
            }
        }
    }

    /// The slug of a team, or the e-mail of a user, if a list showed it.
    pub(crate) fn handle(&self, resource: ResourceId) -> Option<String> {
        let handles = self.handles.lock().unwrap_or_else(PoisonError::into_inner);
        handles.get(&resource).cloned()
    }

    /// A principal's name in messages: of a user the e-mail address that the request used or that a list showed, else the id; of a
    /// group as of any resource.
    pub(crate) fn principal_label(&self, principal: &Principal) -> String {
        match principal {
            Principal::Email(email) => email.clone(),
            Principal::Resource(user) if user.resource_type.kind == ResourceKind::User => {
                self.handle(*user).unwrap_or_else(|| self.resource_label(*user))
            }
            Principal::Resource(group) => self.resource_label(*group),
        }
    }

    /// A resource's name in messages: its handle if a list showed one, else the id.
    pub(crate) fn resource_label(&self, resource: ResourceId) -> String {
        let ResourceId { resource_type, id } = resource;
        match self.handle(resource) {
            Some(handle) => format!("{resource_type} `{handle}`"),
            None => format!("{resource_type} {id}"),
        }
    }

    /// Every user with the address, in a list that is fresh enough; `read` reads a new one if the cached list is too old.
    ///
    /// # Errors
    /// The failure of `read`.
    pub(crate) async fn users_with_email<F>(
        &self,
        email: &str,
        freshness: Freshness,
        read: impl FnOnce() -> F,
    ) -> Result<Vec<ResourceId>, GovernanceError>
    where
        F: Future<Output = Result<Vec<Resource>, GovernanceError>>,
    {
        let is_fresh = |read: Instant| match freshness {
            Freshness::YoungerThan(max_age) => read.elapsed() < max_age,
            Freshness::ReadAfter(moment) => read >= moment,
        };
        let mut last = self.users.lock().await;
        if !last.as_ref().is_some_and(|(read, _)| is_fresh(*read)) {
            let begun = Instant::now();
            *last = Some((begun, by_email(read().await?)));
        }
        let found = last
            .as_ref()
            .and_then(|(_, users)| users.get(&email.to_ascii_lowercase()));
        Ok(found.cloned().unwrap_or_default())
    }
}

fn by_email(users: Vec<Resource>) -> ByEmail {
    let mut by_email = ByEmail::new();
    for user in users {
        if let Some(email) = user.handle {
            let ids = by_email.entry(email.to_ascii_lowercase()).or_default();
            if !ids.contains(&user.id) {
                ids.push(user.id);
            }
        }
    }
    by_email
}
