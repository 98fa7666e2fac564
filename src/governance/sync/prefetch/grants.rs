//! The members of the teams to come.
//!
//! A platform visits its teams in the order of its store, often backwards. So the order is guessed: from the first team where
//! that is at an end of the list or of the sorted ids, else from the first two, which are neighbours in one of them. A wrong
//! guess costs nothing but the order, since every team is asked for in the end.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use uuid::Uuid;

use super::task::{HeldBatch, PrefetchTask};
use super::{Generations, Prefetch};
use crate::governance::CallContext;
use crate::governance::model::{Holding, ResourceId};
use crate::governance::provider::{Amount, Batch, Cursor, ResourceType};

/// Teams that are read and not asked for yet, for each request that may be under way: enough to never let the client wait
/// for a round trip, too few to matter if it goes away.
const READY_PER_REQUEST: usize = 4;

/// Rows of a team that are read ahead, or at once where the excess is kept.
pub(super) const ROWS_AHEAD: usize = 500;

/// A team's members, and how many of our writes came before they were read.
pub(crate) type Generation = (u64, PrefetchTask<Holding>);

/// What a sync asked for of its teams, and what is read ahead.
#[derive(Debug, Default)]
pub(crate) struct GrantPrefetch {
    listed: Vec<Uuid>,
    /// The same teams by id, each with its place in the list.
    sorted: Vec<(Uuid, usize)>,
    requested: HashSet<Uuid>,
    last: Option<Uuid>,
    /// The way that was taken last.
    order: Option<VisitOrder>,
    /// Whether the teams were listed here in the middle of the sync, so that those that come first were read elsewhere.
    is_joined_late: bool,
    reads: HashMap<Uuid, Generation>,
    /// What is left of the teams whose members are handed out in small parts.
    remainders: HashMap<Uuid, Remainder>,
}

/// Members of a team behind a part that was handed out.
#[derive(Debug)]
struct Remainder {
    /// How many of our writes came before they were read.
    generation: u64,
    /// What the next part is asked for with.
    at: Cursor,
    held: HeldBatch<Holding>,
}

impl GrantPrefetch {
    /// Notes teams that the sync was told of: those of the list's first part, or more of them.
    pub(crate) fn record_listed(&mut self, first: bool, teams: impl Iterator<Item = Uuid>) {
        if first {
            *self = Self::default();
        }
        // One may come again from one part to the next.
        let known: HashSet<Uuid> = self.listed.iter().copied().collect();
        self.listed.extend(teams.filter(|team| !known.contains(team)));
    }

    /// Notes the teams of a sync that was met in its middle.
    pub(crate) fn record_late_join(&mut self, teams: impl Iterator<Item = Uuid>) {
        self.is_joined_late = true;
        self.record_listed(false, teams);
    }

    /// Whether the team is one that the sync was told of.
    pub(crate) fn knows(&self, team: Uuid) -> bool {
        self.listed.contains(&team)
    }

    /// What was begun for the team, if anything was; and begins what is likely to be asked for next.
    pub(crate) fn on_request(
        &mut self,
        prefetch: &Prefetch,
        teams: &Arc<dyn ResourceType>,
        generations: &Generations,
        team: Uuid,
        call: &CallContext,
    ) -> Option<Generation> {
        let read = match self.reads.get(&team) {
            Some((_, task)) if prefetch.would_miss_deadline(task, call) => None,
            _ => self.reads.remove(&team),
        };
        self.schedule(prefetch, teams, generations, team);
        read
    }

    /// What was kept of a team behind `from`, where no write of ours came since it was read.
    pub(crate) fn take_remainder(
        &mut self,
        team: Uuid,
        from: &Cursor,
        generation: u64,
    ) -> Option<Box<dyn Batch<Holding>>> {
        let rest = self.remainders.remove(&team)?;
        (rest.at == *from && rest.generation == generation).then_some(rest.held.batch)
    }

    /// Keeps what is left of a team, where there is room for it.
    pub(crate) fn store_remainder(
        &mut self,
        team: Uuid,
        generation: u64,
        at: Cursor,
        held: Option<HeldBatch<Holding>>,
    ) {
        if let Some(held) = held {
            self.remainders.insert(team, Remainder { generation, at, held });
        }
    }

    fn schedule(&mut self, prefetch: &Prefetch, teams: &Arc<dyn ResourceType>, generations: &Generations, team: Uuid) {
        if self.sorted.len() != self.listed.len() {
            self.sorted = self.listed.iter().copied().zip(0..).collect();
            self.sorted.sort_unstable();
        }
        self.requested.insert(team);
        let last = self.last.replace(team);
        let Some(order) = self.infer_order(last, team) else {
            return;
        };
        let waiting = self.reads.values().filter(|(_, task)| task.is_finished()).count();
        let under_way = self.reads.len() - waiting;
        let room = (prefetch.limit.saturating_sub(under_way))
            .min((prefetch.limit * READY_PER_REQUEST).saturating_sub(waiting));
        if prefetch.budget.is_full() {
            return;
        }
        let next: Vec<Uuid> = self.after(order, team).take(room).collect();
        for team in next {
            let resource = ResourceId {
                resource_type: teams.info(),
                id: team,
            };
            let generation = generations.get(&resource).copied().unwrap_or_default();
            let teams = Arc::clone(teams);
            let amount = Amount::AtLeast(ROWS_AHEAD);
            let read = |call: CallContext| async move { teams.grants(team, None, amount, &call).await };
            self.reads
                .insert(team, (generation, PrefetchTask::spawn(&prefetch.budget, 1, read)));
        }
    }

    /// The way in which `team` follows `last`, or is the first; none where a first team tells nothing. One that was taken before
    /// comes first: two neighbours in one order are sometimes neighbours in another by chance.
    fn infer_order(&mut self, last: Option<Uuid>, team: Uuid) -> Option<VisitOrder> {
        let step = |order: &VisitOrder| {
            let place = self.index_of(*order, team)?;
            match last {
                Some(last) => place.checked_sub(self.index_of(*order, last)?),
                None => place.checked_add(1),
            }
        };
        let mut orders = self.order.into_iter().chain(VisitOrder::ALL);
        let taken = orders.find(|order| step(order) == Some(1));
        self.order = taken.or(self.order);
        taken.or(last.filter(|last| *last != team).map(|_| VisitOrder::SortedBackwards))
    }

    /// The teams that are likely to be asked for next, the likeliest first: on from `team`, then around unless what comes
    /// first was read elsewhere.
    fn after(&self, order: VisitOrder, team: Uuid) -> impl Iterator<Item = Uuid> {
        let (from, count) = (self.index_of(order, team).unwrap_or_default(), self.listed.len());
        let steps = if self.is_joined_late {
            count - from.min(count)
        } else {
            count
        };
        (1..steps)
            .filter_map(move |step| self.at(order, (from + step) % count))
            .filter(|team| !self.requested.contains(team) && !self.reads.contains_key(team))
    }

    /// How many teams come before `team` on this way.
    fn index_of(&self, order: VisitOrder, team: Uuid) -> Option<usize> {
        let sorted = self.sorted.binary_search_by_key(&team, |(team, _)| *team).ok()?;
        let (_, listed) = *self.sorted.get(sorted)?;
        let last = self.listed.len().checked_sub(1)?;
        Some(match order {
            VisitOrder::Sorted => sorted,
            VisitOrder::SortedBackwards => last - sorted,
            VisitOrder::Listed => listed,
            VisitOrder::ListedBackwards => last - listed,
        })
    }

    fn at(&self, order: VisitOrder, place: usize) -> Option<Uuid> {
        let from_the_end = || self.listed.len().checked_sub(place + 1);
        match order {
            VisitOrder::Sorted => self.sorted.get(place).map(|(team, _)| *team),
            VisitOrder::SortedBackwards => self.sorted.get(from_the_end()?).map(|(team, _)| *team),
            VisitOrder::Listed => self.listed.get(place).copied(),
            VisitOrder::ListedBackwards => self.listed.get(from_the_end()?).copied(),
        }
    }
}

/// An order of the teams, and the direction in which they are visited.
#[derive(Debug, Clone, Copy)]
enum VisitOrder {
    Sorted,
    SortedBackwards,
    Listed,
    ListedBackwards,
}

impl VisitOrder {
    /// The likelier ones first: the real client goes through its store from the end.
    const ALL: [Self; 4] = [Self::SortedBackwards, Self::Sorted, Self::ListedBackwards, Self::Listed];
}
