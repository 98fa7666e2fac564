//! The budgets of a process: which connections share the bucket of an organization or of a user.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::time::Instant;

use super::group::Group;
use super::limiter::RateLimiter;
use super::options::BudgetOptions;
use super::routing::CredentialUse;

/// The budgets of all connections of a process. Clones are the same budgets. Connections to one organization share its bucket, and
/// connections whose credentials belong to one user share that user's.
#[derive(Debug, Clone, Default)]
pub struct Budgets(Arc<Registry>);

#[derive(Debug, Default)]
struct Registry {
    names: Mutex<Names>,
    /// The last id that was given to a connection, a bucket or a waiter.
    last_id: AtomicU64,
}

/// The groups by the names of their organizations and users.
#[derive(Debug, Default)]
struct Names {
    organizations: HashMap<Arc<str>, Weak<Group>>,
    users: HashMap<Arc<str>, Weak<Group>>,
}

/// One connection in the registry. Dropping it removes the connection.
#[derive(Debug)]
pub(crate) struct Registration {
    budgets: Budgets,
    pub(crate) group: Arc<Group>,
    pub(crate) connection: u64,
    /// What identifies the user of each credential, as far as it is known.
    identities: Mutex<Vec<Vec<Arc<str>>>>,
}

impl Budgets {
    /// A limiter for a connection with a credential for each of `uses`. The bucket of an `organization` is shared with its other
    /// connections; the name has to differ for another server.
    #[must_use]
    pub fn limiter(&self, organization: Option<&str>, uses: &[CredentialUse], options: BudgetOptions) -> RateLimiter {
        let organization: Option<Arc<str>> = organization.map(Arc::from);
        let connection = self.next_id();
        let mut names = self.names();
        names.organizations.retain(|_, group| group.strong_count() > 0);
        let known = organization.as_ref().and_then(|name| names.organizations.get(name));
        let group = known
            .and_then(Weak::upgrade)
            .map(|group| group.current())
            .unwrap_or_default();
        group.read(|state| {
            let next_id = || self.next_id();
            state
                .scheduler
                .add(connection, organization.clone(), uses, options, Instant::now(), next_id);
        });
        if let Some(name) = organization {
            names.organizations.insert(name, Arc::downgrade(&group));
        }
        drop(names);
        let registration = Registration {
            budgets: self.clone(),
            group,
            connection,
            identities: Mutex::new(vec![Vec::new(); uses.len()]),
        };
        RateLimiter::of(registration, options)
    }

    fn next_id(&self) -> u64 {
        self.0.last_id.fetch_add(1, Ordering::Relaxed)
    }

    fn names(&self) -> std::sync::MutexGuard<'_, Names> {
        // Each change of the names is complete in itself.
        self.0.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registration {
    /// An id for a waiter.
    pub(crate) fn next_id(&self) -> u64 {
        self.budgets.next_id()
    }

    /// A credential belongs to the user whom `identities` name.
    pub(crate) fn learn(&self, credential: usize, identities: Vec<Arc<str>>) {
        let mut known = self.identities.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = known.get_mut(credential) else { return };
        if identities.is_empty() || identities.iter().all(|identity| known.contains(identity)) {
            return;
        }
        let mut names = self.budgets.names();
        names.users.retain(|_, group| group.strong_count() > 0);
        for identity in &identities {
            if let Some(other) = names.users.get(identity).and_then(Weak::upgrade) {
                self.group.merge(&other);
            }
        }
        self.group.update(|state| {
            let next_id = || self.budgets.next_id();
            let now = Instant::now();
            state
                .scheduler
                .learn(self.connection, credential, &identities, now, next_id);
        });
        let group = Arc::downgrade(&self.group.current());
        for identity in &identities {
            names.users.insert(Arc::clone(identity), Weak::clone(&group));
        }
        // A user whose id is known before their e-mail address, or after it, is the same; another one replaces them.
        if known.iter().any(|identity| identities.contains(identity)) {
            known.extend(identities);
        } else {
            *known = identities;
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.group.update(|state| state.scheduler.remove(self.connection));
    }
}
