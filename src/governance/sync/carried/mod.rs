//! Carried access: grants that the provider lists by principal, and the client requests by resource.
//!
//! They are read once for a sync, as an index from a resource to the principals that hold a level of it (`index`). A sync that has
//! listed both types starts the reading, which runs in the background (`reading`) while the client lists entitlements; it is
//! complete or an error. The reading belongs to the session of the sync. When it is complete, it is kept for the maximum age of the
//! directory, for syncs that request single resources without listing any. A sync that did not list the principals in this process
//! has them listed once (`carriers`). A grant or revoke by this process makes the lists of its principal be read again.

mod carriers;
mod index;
mod reading;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;
use uuid::Uuid;

use super::observed_lists::ObservedLists;
use super::page_token::{PageTokenError, Position};
use super::session::SessionHandle;
use crate::governance::model::{Holding, Membership, ResourceId, ResourceTypeInfo};
use crate::governance::provider::{CarriedGrants, Cursor, Provider, ResourceType, Rows};
use crate::governance::{CallContext, GovernanceError};
use carriers::CarrierList;
use reading::{Readers, Reading};

/// The rows of a page whose size the client leaves to the connector.
const PAGE_ROWS: usize = 500;

/// The readings of carried access.
#[derive(Debug)]
pub(crate) struct CarriedAccess {
    readers: Arc<Readers>,
    /// The maximum age of an index for a sync that did not list the principals.
    max_age: Duration,
    retained: Arc<Mutex<Retained>>,
}

/// The latest complete reading of each type, until its maximum age. A session is locked before them, never after.
type Retained = HashMap<&'static str, Arc<Reading>>;

/// The readings of a sync.
#[derive(Debug, Default)]
pub(crate) struct SessionReadings {
    /// By type of the resources.
    readings: HashMap<&'static str, SessionReading>,
    /// The principals of a sync that did not list them in this process, by type.
    carrier_lists: HashMap<&'static str, Arc<CarrierList>>,
}

#[derive(Debug)]
struct SessionReading {
    reading: Arc<Reading>,
    /// Whether the resources that the sync did not list were counted.
    is_counted: bool,
}

impl SessionReadings {
    /// Frees the readings of a session that was used last at `last_used` and is idle for `timeout`. A client that
    /// waits for the retry time of a response is not idle before it.
    pub(crate) fn free_idle(&mut self, last_used: Instant, timeout: Duration) {
        self.readings.retain(|_, held| {
            let retry_at = held.reading.retry_at();
            retry_at.map_or(last_used, |retry_at| retry_at.max(last_used)).elapsed() < timeout
        });
        if self.readings.is_empty() {
            self.carrier_lists.clear();
        }
    }

    /// The principals of a sync that did not list them.
    fn carrier_list(&mut self, session: SessionHandle<'_>, carriers: &ResourceTypeInfo) -> Arc<CarrierList> {
        let list = self.carrier_lists.entry(carriers.id);
        Arc::clone(list.or_insert_with(|| Arc::new(CarrierList::new(session.downgrade()))))
    }

    /// Whether nothing is held.
    pub(crate) fn is_empty(&self) -> bool {
        self.readings.is_empty()
    }
}

impl CarriedAccess {
    /// Readings that read the lists of up to `concurrency` principals at once, and at least of one. A complete index is used for
    /// `max_age` by syncs that did not list the principals.
    pub(crate) fn new(provider: Arc<dyn Provider>, concurrency: usize, max_age: Duration) -> Self {
        let concurrency = concurrency.max(1);
        Self {
            readers: Arc::new(Readers {
                provider,
                all: Mutex::default(),
                permits: Semaphore::new(concurrency),
                concurrency,
            }),
            max_age,
            retained: Arc::default(),
        }
    }

    /// How many requests the grants of a resource of this type cost at least: one for its own grants, and one for each type of which
    /// it carries access. None for a type whose grants are carried.
    pub(crate) fn requests_each(&self, resource_type: &ResourceTypeInfo) -> usize {
        let types = self.readers.provider.resource_types();
        let is_carried = types
            .iter()
            .any(|known| known.info() == resource_type && known.carried().is_some());
        let carries =
            |known: &&Arc<dyn ResourceType>| carriers_of(known.as_ref()).is_some_and(|of| of == resource_type);
        usize::from(!is_carried) + types.iter().filter(carries).count()
    }

    /// Starts the readings of a sync that has listed both the principals and resources, after the end of the list of a type.
    /// Must be called within a runtime.
    pub(crate) fn start(&self, session: SessionHandle<'_>, listed: &ResourceTypeInfo) {
        for resources in self.readers.provider.resource_types() {
            let Some(carriers) = carriers_of(resources.as_ref()) else {
                continue;
            };
            let info = resources.info();
            if listed != info && listed != carriers {
                continue;
            }
            session.update_carried(|held, observed| {
                if !observed.is_complete(info) || !observed.is_complete(carriers) {
                    return;
                }
                if let Some(held) = held.readings.get(info.id) {
                    held.reading.add_carriers(observed.resources(carriers));
                }
                if session.has_id()
                    && observed.resources(info).next().is_some()
                    && let Some(reading) = self.reading(session, held, observed, resources, false)
                {
                    reading.start();
                }
            });
        }
    }

    /// A page of the grants of a resource, in the order of their principals' ids. Must be called within a runtime.
    ///
    /// # Errors
    /// For a wrong cursor, for a resource that is gone or hidden, what keeps a list from being read completely, or a rate limit that
    /// delays the reading for longer than the call can wait.
    pub(crate) async fn grants(
        &self,
        session: SessionHandle<'_>,
        resources: &Arc<dyn ResourceType>,
        id: Uuid,
        from: Option<Cursor>,
        limit: Option<NonZeroUsize>,
        call: &CallContext,
    ) -> Result<Rows<Holding>, GovernanceError> {
        let after = match from.as_ref().map(Position::of).transpose()? {
            None => None,
            Some(Position::After(id)) => Some(id),
            Some(Position::Offset(_)) => return Err(PageTokenError.into()),
        };
        let reading =
            session.update_carried(|held, observed| self.reading(session, held, observed, resources, true).cloned());
        let (Some(carriers), Some(reading)) = (carriers_of(resources.as_ref()), reading) else {
            return Ok(Rows::default());
        };
        let holders = reading.holders(id, call).await?;
        self.retain(&reading);
        Self::log_unlisted(session, resources.info());
        if holders.is_empty() {
            self.confirm_exists(session, resources, id, call).await?;
        }
        let rest: Vec<_> = holders
            .into_iter()
            .filter(|(carrier, _)| after.is_none_or(|after| *carrier > after))
            .collect();
        let page = limit.map_or(PAGE_ROWS, NonZeroUsize::get).min(rest.len());
        let last = rest.get(..page).and_then(<[_]>::last).filter(|_| page < rest.len());
        let next = last.and_then(|(carrier, _)| Position::After(*carrier).cursor());
        let rows = rest.into_iter().take(page).map(|(carrier, level)| Holding {
            principal: ResourceId {
                resource_type: carriers,
                id: carrier,
            },
            name: None,
            level,
        });
        Ok(Rows {
            rows: rows.collect(),
            next,
        })
    }

    /// Makes the lists of a membership's principal be read again, because they change.
    pub(crate) fn invalidate(&self, membership: Membership) {
        let readings = self.readers.readings().into_iter();
        for reading in readings.filter(|reading| reading.type_id() == membership.resource.resource_type.id) {
            reading.invalidate(membership.principal.id);
        }
    }

    /// Makes every list of what a principal carries be read again.
    pub(crate) fn invalidate_principal(&self, principal: ResourceId) {
        for reading in self.readers.readings() {
            reading.invalidate(principal.id);
        }
    }

    /// Leaves out a principal that is proven absent.
    pub(crate) fn remove_principal(&self, principal: ResourceId) {
        self.readers.remove(principal.id);
    }

    /// The reading that serves the session: its own one, else one of another sync that is not too old and that `may_share` admits,
    /// else a new one. A reading that is new to the session also reads the principals that the sync listed.
    fn reading<'a>(
        &self,
        session: SessionHandle<'_>,
        held: &'a mut SessionReadings,
        observed: &ObservedLists,
        resources: &Arc<dyn ResourceType>,
        may_share: bool,
    ) -> Option<&'a Arc<Reading>> {
        let info = resources.info();
        let carriers = carriers_of(resources.as_ref())?;
        let is_current = |held: &SessionReading| session.has_id() || self.is_usable(&held.reading);
        let held_before = held.readings.remove(info.id).filter(is_current);
        let current = if let Some(current) = held_before {
            current
        } else {
            let shared = may_share.then(|| self.usable(info)).flatten();
            let reading = if let Some(shared) = shared {
                shared
            } else {
                let list = (!observed.is_complete(carriers)).then(|| held.carrier_list(session, carriers));
                self.begin(resources, carriers, list)?
            };
            if observed.is_complete(carriers) {
                reading.add_carriers(observed.resources(carriers));
            }
            SessionReading {
                reading,
                is_counted: false,
            }
        };
        Some(&held.readings.entry(info.id).or_insert(current).reading)
    }

    /// A new reading, which does not start yet.
    fn begin(
        &self,
        resources: &Arc<dyn ResourceType>,
        carriers: &ResourceTypeInfo,
        list: Option<Arc<CarrierList>>,
    ) -> Option<Arc<Reading>> {
        let mut types = self.readers.provider.resource_types().iter();
        let carriers = types.find(|known| known.info() == carriers)?;
        let reading = Arc::new(Reading::new(&self.readers, resources, carriers, list));
        self.readers.add(&reading);
        Some(reading)
    }

    /// The latest reading of the type that is not too old.
    fn usable(&self, resource_type: &ResourceTypeInfo) -> Option<Arc<Reading>> {
        let mut readings = self.readers.readings().into_iter().rev();
        readings.find(|reading| reading.type_id() == resource_type.id && self.is_usable(reading))
    }

    /// Whether a sync that did not begin the reading may use it. A reading in progress is joined; the age counts from its end, so that
    /// one that takes longer than the maximum age is of use.
    fn is_usable(&self, reading: &Reading) -> bool {
        reading
            .completed_at()
            .is_none_or(|completed_at| completed_at.elapsed() < self.max_age)
    }

    /// Keeps a complete reading until its maximum age, in place of an earlier one. Must be called within a runtime.
    fn retain(&self, reading: &Arc<Reading>) {
        let type_id = reading.type_id();
        let Some(completed_at) = reading.completed_at().filter(|_| self.is_usable(reading)) else {
            return;
        };
        let mut retained = lock(&self.retained);
        let earlier = retained.get(type_id).and_then(|earlier| earlier.completed_at());
        if earlier >= Some(completed_at) {
            return;
        }
        retained.insert(type_id, Arc::clone(reading));
        let (retained, expires_at) = (Arc::downgrade(&self.retained), completed_at + self.max_age);
        tokio::spawn(async move {
            tokio::time::sleep_until(expires_at).await;
            if let Some(retained) = retained.upgrade() {
                let mut retained = lock(&retained);
                let latest = retained.get(type_id).and_then(|latest| latest.completed_at());
                if latest <= Some(completed_at) {
                    retained.remove(type_id);
                }
            }
        });
    }

    /// Logs, once for a sync, how many resources it did not list although principals hold levels of them.
    fn log_unlisted(session: SessionHandle<'_>, resource_type: &ResourceTypeInfo) {
        let left_out = session.update_carried(|held, observed| {
            let held = held.readings.get_mut(resource_type.id)?;
            if !observed.is_complete(resource_type) || std::mem::replace(&mut held.is_counted, true) {
                return None;
            }
            let listed: HashSet<Uuid> = observed.resources(resource_type).collect();
            Some(held.reading.count_unlisted(|resource| listed.contains(&resource)))
        });
        if let Some(left_out) = left_out.filter(|left_out| *left_out > 0) {
            tracing::info!(%resource_type, left_out, "grants of resources that this sync did not list are left out until the next sync");
        }
    }

    /// Accepts a resource without grants if the sync listed it or if it can be read.
    async fn confirm_exists(
        &self,
        session: SessionHandle<'_>,
        resources: &Arc<dyn ResourceType>,
        id: Uuid,
        call: &CallContext,
    ) -> Result<(), GovernanceError> {
        let resource_type = resources.info();
        if session.update_observed(|observed| observed.shows(ResourceId { resource_type, id })) {
            return Ok(());
        }
        match resources.get(id, call).await {
            Ok(_) => Ok(()),
            Err(failure) => Err(resources.explain(failure, Some(id), call).await),
        }
    }
}

/// The type of the principals that carry the grants of a type; `None` if they are listed by resource.
fn carriers_of(resources: &dyn ResourceType) -> Option<&'static ResourceTypeInfo> {
    resources.carried().map(CarriedGrants::carriers)
}

fn lock(retained: &Mutex<Retained>) -> MutexGuard<'_, Retained> {
    retained.lock().unwrap_or_else(PoisonError::into_inner)
}
