//! The members of the teams to come.
//!
//! A platform visits its teams in the order of its store, often backwards. So the order is guessed: from the first team where
//! that is at an end of the list or of the sorted ids, else from the first two, which are neighbours in one of them. A wrong
//! guess costs nothing but the order, since every team is asked for in the end.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::Prefetch;
use super::task::{Held, Reading};
use crate::providers::buildkite::pagination::{Batch, Cursor, ROWS_PER_PAGE};
use crate::providers::buildkite::{CallContext, TeamId, TeamMember};

/// Teams that are read and not asked for yet, for each request that may be under way: enough to never let the client wait
/// for a round trip, too few to matter if it goes away.
const HELD_PER_REQUEST: usize = 4;

/// A team's members, and how many of our writes came before they were read.
pub(crate) type Generation = (u64, Reading<TeamMember>);

/// What a sync asked for of its teams, and what is read ahead.
#[derive(Debug, Default)]
pub(crate) struct Members {
    listed: Vec<TeamId>,
    /// The same teams by id, each with its place in the list.
    sorted: Vec<(TeamId, usize)>,
    asked: HashSet<TeamId>,
    last: Option<TeamId>,
    /// The way that was taken last.
    way: Option<Way>,
    /// Whether the teams were listed here in the middle of the sync, so that those that come first were read elsewhere.
    is_met: bool,
    reads: HashMap<TeamId, Generation>,
    /// What is left of the teams whose members are handed out in small parts.
    rests: HashMap<TeamId, Rest>,
}

/// Members of a team behind a part that was handed out.
#[derive(Debug)]
struct Rest {
    /// How many of our writes came before they were read.
    generation: u64,
    /// What the next part is asked for with.
    at: Cursor,
    held: Held<TeamMember>,
}

impl Members {
    /// Notes teams that the sync was told of: those of the list's first part, or more of them.
    pub(crate) fn listed(&mut self, first: bool, teams: impl Iterator<Item = TeamId>) {
        if first {
            *self = Self::default();
        }
        // One may come again from one part to the next.
        let known: HashSet<TeamId> = self.listed.iter().copied().collect();
        self.listed.extend(teams.filter(|team| !known.contains(team)));
    }

    /// Notes the teams of a sync that was met in its middle.
    pub(crate) fn met(&mut self, teams: impl Iterator<Item = TeamId>) {
        self.is_met = true;
        self.listed(false, teams);
    }

    /// Whether the team is one that the sync was told of.
    pub(crate) fn knows(&self, team: TeamId) -> bool {
        self.listed.contains(&team)
    }

    /// What was begun for the team, if anything was; and begins what is likely to be asked for next.
    pub(crate) fn asked(
        &mut self,
        ahead: &Prefetch,
        generations: &HashMap<TeamId, u64>,
        team: TeamId,
        call: &CallContext,
    ) -> Option<Generation> {
        let read = match self.reads.get(&team) {
            Some((_, reading)) if ahead.is_too_late_for(reading, call) => None,
            _ => self.reads.remove(&team),
        };
        self.go_on(ahead, generations, team);
        read
    }

    /// What was kept of a team behind `from`, where no write of ours came since it was read.
    pub(crate) fn rest(&mut self, team: TeamId, from: &Cursor, generation: u64) -> Option<Batch<TeamMember>> {
        let rest = self.rests.remove(&team)?;
        (rest.at == *from && rest.generation == generation).then_some(rest.held.batch)
    }

    /// Keeps what is left of a team, where there is room for it.
    pub(crate) fn keep(&mut self, team: TeamId, generation: u64, at: Cursor, held: Option<Held<TeamMember>>) {
        if let Some(held) = held {
            self.rests.insert(team, Rest { generation, at, held });
        }
    }

    fn go_on(&mut self, ahead: &Prefetch, generations: &HashMap<TeamId, u64>, team: TeamId) {
        if self.sorted.len() != self.listed.len() {
            self.sorted = self.listed.iter().copied().zip(0..).collect();
            self.sorted.sort_unstable();
        }
        self.asked.insert(team);
        let last = self.last.replace(team);
        let Some(way) = self.likely_way(last, team) else {
            return;
        };
        let waiting = self.reads.values().filter(|(_, reading)| reading.has_ended()).count();
        let under_way = self.reads.len() - waiting;
        let room =
            (ahead.limit.saturating_sub(under_way)).min((ahead.limit * HELD_PER_REQUEST).saturating_sub(waiting));
        if ahead.held.is_full() {
            return;
        }
        let next: Vec<TeamId> = self.after(way, team).take(room).collect();
        for team in next {
            let generation = generations.get(&team).copied().unwrap_or_default();
            let upstream = Arc::clone(&ahead.upstream);
            let read = |call| async move { upstream.members(team, Cursor::Start, ROWS_PER_PAGE, &call).await };
            self.reads
                .insert(team, (generation, Reading::begin(&ahead.held, 1, read)));
        }
    }

    /// The way in which `team` follows `last`, or is the first; none where a first team tells nothing. One that was taken before
    /// comes first: two neighbours in one order are sometimes neighbours in another by chance.
    fn likely_way(&mut self, last: Option<TeamId>, team: TeamId) -> Option<Way> {
        let step = |way: &Way| {
            let place = self.place(*way, team)?;
            match last {
                Some(last) => place.checked_sub(self.place(*way, last)?),
                None => place.checked_add(1),
            }
        };
        let mut ways = self.way.into_iter().chain(Way::ALL);
        let taken = ways.find(|way| step(way) == Some(1));
        self.way = taken.or(self.way);
        taken.or(last.filter(|last| *last != team).map(|_| Way::SortedBackwards))
    }

    /// The teams that are likely to be asked for next, the likeliest first: on from `team`, then around unless what comes
    /// first was read elsewhere.
    fn after(&self, way: Way, team: TeamId) -> impl Iterator<Item = TeamId> {
        let (from, count) = (self.place(way, team).unwrap_or_default(), self.listed.len());
        let steps = if self.is_met { count - from.min(count) } else { count };
        (1..steps)
            .filter_map(move |step| self.at(way, (from + step) % count))
            .filter(|team| !self.asked.contains(team) && !self.reads.contains_key(team))
    }

    /// How many teams come before `team` on this way.
    fn place(&self, way: Way, team: TeamId) -> Option<usize> {
        let sorted = self.sorted.binary_search_by_key(&team, |(team, _)| *team).ok()?;
        let (_, listed) = *self.sorted.get(sorted)?;
        let last = self.listed.len().checked_sub(1)?;
        Some(match way {
            Way::Sorted => sorted,
            Way::SortedBackwards => last - sorted,
            Way::Listed => listed,
            Way::ListedBackwards => last - listed,
        })
    }

    fn at(&self, way: Way, place: usize) -> Option<TeamId> {
        let from_the_end = || self.listed.len().checked_sub(place + 1);
        match way {
            Way::Sorted => self.sorted.get(place).map(|(team, _)| *team),
            Way::SortedBackwards => self.sorted.get(from_the_end()?).map(|(team, _)| *team),
            Way::Listed => self.listed.get(place).copied(),
            Way::ListedBackwards => self.listed.get(from_the_end()?).copied(),
        }
    }
}

/// An order of the teams, and the direction in which they are visited.
#[derive(Debug, Clone, Copy)]
enum Way {
    Sorted,
    SortedBackwards,
    Listed,
    ListedBackwards,
}

impl Way {
    /// The likelier ones first: the real client goes through its store from the end.
    const ALL: [Self; 4] = [Self::SortedBackwards, Self::Sorted, Self::ListedBackwards, Self::Listed];
}
