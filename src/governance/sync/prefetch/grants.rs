//! The grants of the resources that come next.
//!
//! A platform visits the resources in the order of its store, often backwards. The order is inferred: from the first resource if it
//! is at an end of the list or of the sorted ids, else from the first two if they are neighbours in one of these. A wrong order
//! costs no additional request, because the grants of every resource are requested eventually.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use uuid::Uuid;

use super::Prefetch;
use super::limits::{PREFETCH_GRANTS, READY_PER_REQUEST};
use super::task::{HeldBatch, PrefetchTask};
use crate::governance::CallContext;
use crate::governance::model::{Holding, ResourceId};
use crate::governance::provider::{Amount, Batch, Cursor, ResourceType};
use crate::telemetry::traces::OperationSpan;

/// The read of a resource's grants, and their generation when it began.
pub(crate) type GrantTask = (u64, PrefetchTask<Holding>);

/// The resources whose grants a sync requested, and what is prefetched of the others.
#[derive(Debug, Default)]
pub(crate) struct GrantPrefetch {
    listed: Vec<Uuid>,
    /// The same resources by id, each with its index in the list.
    sorted: Vec<(Uuid, usize)>,
    requested: HashSet<Uuid>,
    last: Option<Uuid>,
    /// The order that was inferred last.
    order: Option<VisitOrder>,
    /// Whether the resources were listed here in the middle of the sync. The grants of those that come before were read elsewhere.
    is_joined_late: bool,
    tasks: HashMap<Uuid, GrantTask>,
    /// Rows of resources whose grants are returned in pages.
    remainders: HashMap<Uuid, Remainder>,
}

/// Grants of a resource after the page that was returned.
#[derive(Debug)]
struct Remainder {
    generation: u64,
    /// The cursor of the next page.
    next: Cursor,
    held: HeldBatch<Holding>,
}

impl GrantPrefetch {
    /// Records a page of the list of resources. The first page starts the list anew.
    pub(crate) fn record_listed(&mut self, is_first: bool, resources: impl Iterator<Item = Uuid>) {
        if is_first {
            *self = Self::default();
        }
        // A page can repeat resources of earlier pages.
        let known: HashSet<Uuid> = self.listed.iter().copied().collect();
        self.listed
            .extend(resources.filter(|resource| !known.contains(resource)));
    }

    /// Records the resources of a sync that was joined late.
    pub(crate) fn record_late_join(&mut self, resources: impl Iterator<Item = Uuid>) {
        self.is_joined_late = true;
        self.record_listed(false, resources);
    }

    /// The resources of a sync that was joined late.
    pub(crate) fn joined_late(&self) -> Option<&[Uuid]> {
        self.is_joined_late.then_some(&self.listed)
    }

    /// Whether any resource was listed.
    pub(crate) fn knows_any(&self) -> bool {
        !self.listed.is_empty()
    }

    /// Whether the resource was listed.
    pub(crate) fn knows(&self, resource: Uuid) -> bool {
        self.listed.contains(&resource)
    }

    /// Returns the task that reads the resource's grants, if there is one, and schedules those that are likely to be requested
    /// next.
    pub(crate) fn on_request(
        &mut self,
        prefetch: &Prefetch,
        resources: &Arc<dyn ResourceType>,
        resource: Uuid,
        call: &CallContext,
    ) -> Option<GrantTask> {
        let task = match self.tasks.get(&resource) {
            Some((_, task)) if prefetch.would_miss_deadline(task, call) => None,
            _ => self.tasks.remove(&resource),
        };
        self.schedule(prefetch, resources, resource);
        task
    }

    /// The rows that were kept of a resource's grants from `from` on, unless they were invalidated since.
    pub(crate) fn take_remainder(
        &mut self,
        resource: Uuid,
        from: &Cursor,
        generation: u64,
    ) -> Option<Box<dyn Batch<Holding>>> {
        let rest = self.remainders.remove(&resource)?;
        (rest.next == *from && rest.generation == generation).then_some(rest.held.batch)
    }

    /// Keeps the rows after a page of a resource's grants; `held` is `None` if the row budget is exhausted.
    pub(crate) fn store_remainder(
        &mut self,
        resource: Uuid,
        generation: u64,
        next: Cursor,
        held: Option<HeldBatch<Holding>>,
    ) {
        if let Some(held) = held {
            self.remainders.insert(resource, Remainder { generation, next, held });
        }
    }

    fn schedule(&mut self, prefetch: &Prefetch, resources: &Arc<dyn ResourceType>, resource: Uuid) {
        if self.sorted.len() != self.listed.len() {
            self.sorted = self.listed.iter().copied().zip(0..).collect();
            self.sorted.sort_unstable();
        }
        self.requested.insert(resource);
        let last = self.last.replace(resource);
        let Some(order) = self.infer_order(last, resource) else {
            return;
        };
        let ready = self.tasks.values().filter(|(_, task)| task.is_finished()).count();
        let in_flight = self.tasks.len() - ready;
        let capacity =
            (prefetch.limit.saturating_sub(in_flight)).min((prefetch.limit * READY_PER_REQUEST).saturating_sub(ready));
        if prefetch.budget.is_full() {
            return;
        }
        let next: Vec<Uuid> = self.after(order, resource).take(capacity).collect();
        for id in next {
            // The generation is read before the grants: a write after this moment invalidates them.
            let generation = prefetch.generation(ResourceId {
                resource_type: resources.info(),
                id,
            });
            let resources = Arc::clone(resources);
            let amount = Amount::AtLeast(PREFETCH_GRANTS);
            let span = OperationSpan::prefetched_page("grants", resources.info().id);
            let read = |call: CallContext| async move { resources.grants(id, None, amount, &call).await };
            let task = PrefetchTask::spawn(&prefetch.budget, 1, span, read);
            self.tasks.insert(id, (generation, task));
        }
    }

    /// The order in which `resource` follows `last`, or is the first; `None` if a first resource does not show an order. The order
    /// that was inferred before has precedence: neighbours in one order can be neighbours in another by chance.
    fn infer_order(&mut self, last: Option<Uuid>, resource: Uuid) -> Option<VisitOrder> {
        let step = |order: &VisitOrder| {
            let index = self.index_of(*order, resource)?;
            match last {
                Some(last) => index.checked_sub(self.index_of(*order, last)?),
                None => index.checked_add(1),
            }
        };
        let mut orders = self.order.into_iter().chain(VisitOrder::ALL);
        let inferred = orders.find(|order| step(order) == Some(1));
        self.order = inferred.or(self.order);
        inferred.or(last
            .filter(|last| *last != resource)
            .map(|_| VisitOrder::SortedBackwards))
    }

    /// The resources whose grants are likely to be requested next, the likeliest first: those after `resource`, then those before
    /// it unless their grants were read elsewhere.
    fn after(&self, order: VisitOrder, resource: Uuid) -> impl Iterator<Item = Uuid> {
        let (from, count) = (self.index_of(order, resource).unwrap_or_default(), self.listed.len());
        let steps = if self.is_joined_late {
            count - from.min(count)
        } else {
            count
        };
        (1..steps)
            .filter_map(move |step| self.at(order, (from + step) % count))
            .filter(|resource| !self.requested.contains(resource) && !self.tasks.contains_key(resource))
    }

    /// How many resources precede `resource` in the order.
    fn index_of(&self, order: VisitOrder, resource: Uuid) -> Option<usize> {
        let sorted = self.sorted.binary_search_by_key(&resource, |(id, _)| *id).ok()?;
        let (_, listed) = *self.sorted.get(sorted)?;
        let last = self.listed.len().checked_sub(1)?;
        Some(match order {
            VisitOrder::Sorted => sorted,
            VisitOrder::SortedBackwards => last - sorted,
            VisitOrder::Listed => listed,
            VisitOrder::ListedBackwards => last - listed,
        })
    }

    fn at(&self, order: VisitOrder, index: usize) -> Option<Uuid> {
        let from_the_end = || self.listed.len().checked_sub(index + 1);
        match order {
            VisitOrder::Sorted => self.sorted.get(index).map(|(id, _)| *id),
            VisitOrder::SortedBackwards => self.sorted.get(from_the_end()?).map(|(id, _)| *id),
            VisitOrder::Listed => self.listed.get(index).copied(),
            VisitOrder::ListedBackwards => self.listed.get(from_the_end()?).copied(),
        }
    }
}

/// An order of the resources, and the direction in which they are visited.
#[derive(Debug, Clone, Copy)]
enum VisitOrder {
    Sorted,
    SortedBackwards,
    Listed,
    ListedBackwards,
}

impl VisitOrder {
    /// All orders, the likeliest first: platforms visit their store from the end.
    const ALL: [Self; 4] = [Self::SortedBackwards, Self::Sorted, Self::ListedBackwards, Self::Listed];
}
