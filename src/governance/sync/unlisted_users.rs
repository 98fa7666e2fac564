//! Referential closure: whoever holds a grant is listed.
//!
//! Buildkite's organization list may lack somebody whom a member row names (they joined meanwhile, or the row outlived
//! them). The grant is still reported, with the row's name for its principal, and the person is added to the people listings
//! that follow in this process, until a sync that saw every team finds no row that names them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use crate::providers::buildkite::{TeamId, UserId};

/// Syncs that are remembered at once; a platform runs one, and a second while the first one ends.
const SYNCS: usize = 8;

/// Names somebody whom the organization's list did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unlisted {
    pub(crate) user: UserId,
    pub(crate) name: Option<String>,
}

impl Unlisted {
    fn of((user, name): (&UserId, &Option<String>)) -> Self {
        Self {
            user: *user,
            name: name.clone(),
        }
    }
}

/// What this process saw of people and member rows.
#[derive(Debug, Default)]
pub(crate) struct UnlistedUsers {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    unlisted: BTreeMap<UserId, Option<String>>,
    /// By sync id, the empty one for clients that send none; the oldest is forgotten first.
    syncs: HashMap<String, Sync>,
    begun: u64,
}

#[derive(Debug, Default)]
struct Sync {
    begun: u64,
    people: HashSet<UserId>,
    people_reading: Reading,
    teams: HashSet<TeamId>,
    teams_reading: Reading,
    member_readings: HashMap<TeamId, Reading>,
    /// Teams whose members were read whole.
    read: HashSet<TeamId>,
    /// Whom member rows name and the people list does not.
    named: HashSet<UserId>,
}

/// How much of a list this process has read. One that another process began is never known whole.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Reading {
    #[default]
    Unread,
    Begun,
    Whole,
}

impl Reading {
    fn note(&mut self, first: bool, last: bool) {
        if first {
            *self = Self::Begun;
        }
        if last && *self == Self::Begun {
            *self = Self::Whole;
        }
    }

    fn is_whole(self) -> bool {
        self == Self::Whole
    }
}

impl UnlistedUsers {
    /// Notes a part of the people list. At its end, names those who have to be added to it.
    pub(crate) fn people(
        &self,
        sync: &str,
        first: bool,
        last: bool,
        people: impl Iterator<Item = UserId>,
    ) -> Vec<Unlisted> {
        self.with(sync, |unlisted, sync| {
            if first {
                sync.people.clear();
            }
            sync.people_reading.note(first, last);
            sync.people.extend(people);
            // Nobody can be said to be missing from a list that is not known whole.
            if !(last && sync.people_reading.is_whole()) {
                return Vec::new();
            }
            unlisted.retain(|user, _| !sync.people.contains(user));
            unlisted.iter().map(Unlisted::of).collect()
        })
    }

    /// Those who have to be added to the people list behind `after`, in the order of their ids; none where this process did not
    /// read that list.
    pub(crate) fn unlisted_after(&self, sync: &str, after: UserId) -> Vec<Unlisted> {
        self.with(sync, |unlisted, sync| {
            let is_whole = sync.people_reading.is_whole();
            let further = unlisted.iter().filter(|(user, _)| is_whole && **user > after);
            further.map(Unlisted::of).collect()
        })
    }

    /// Notes a part of the team list.
    pub(crate) fn teams(&self, sync: &str, first: bool, last: bool, teams: impl Iterator<Item = TeamId>) {
        self.with(sync, |_, sync| {
            sync.teams_reading.note(first, last);
            sync.teams.extend(teams);
        });
    }

    /// Notes a part of a team's members; counts those whom this sync's people list did not hold.
    pub(crate) fn members<'a>(
        &self,
        sync: &str,
        team: TeamId,
        first: bool,
        last: bool,
        members: impl Iterator<Item = (UserId, Option<&'a str>)>,
    ) -> usize {
        self.with(sync, |unlisted, sync| {
            let mut strangers = 0;
            let is_whole = sync.people_reading.is_whole();
            for (user, name) in members {
                if is_whole && sync.people.contains(&user) {
                    continue;
                }
                sync.named.insert(user);
                if is_whole {
                    strangers += 1;
                    unlisted.insert(user, name.map(str::to_owned));
                }
            }
            let reading = sync.member_readings.entry(team).or_default();
            reading.note(first, last);
            if reading.is_whole() {
                sync.read.insert(team);
            }
            strangers
        })
    }

    /// How many teams of a sync were read, of how many; none while the teams are not known.
    pub(crate) fn progress(&self, sync: &str) -> Option<(usize, usize)> {
        let state = self.lock();
        let sync = state.syncs.get(sync).filter(|sync| sync.teams_reading.is_whole())?;
        Some((sync.read.len().min(sync.teams.len()), sync.teams.len()))
    }

    /// Forgets a sync. One that read people, teams and every team's members also tells who is named no more; whether it did is
    /// the answer.
    pub(crate) fn end(&self, sync: &str) -> bool {
        let mut state = self.lock();
        let Some(ended) = state.syncs.remove(sync) else {
            return false;
        };
        let saw_all =
            ended.people_reading.is_whole() && ended.teams_reading.is_whole() && ended.teams.is_subset(&ended.read);
        if saw_all {
            state.unlisted.retain(|user, _| ended.named.contains(user));
        }
        saw_all
    }

    fn with<T>(&self, id: &str, look: impl FnOnce(&mut BTreeMap<UserId, Option<String>>, &mut Sync) -> T) -> T {
        let mut state = self.lock();
        let State { unlisted, syncs, begun } = &mut *state;
        if !syncs.contains_key(id) && syncs.len() >= SYNCS {
            let oldest = syncs
                .iter()
                .min_by_key(|(_, sync)| sync.begun)
                .map(|(id, _)| id.clone());
            oldest.and_then(|oldest| syncs.remove(&oldest));
        }
        *begun += 1;
        let begun = *begun;
        look(
            unlisted,
            syncs.entry(id.to_owned()).or_insert_with(|| Sync {
                begun,
                ..Sync::default()
            }),
        )
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn user(number: u128) -> UserId {
        Uuid::from_u128(number).into()
    }

    fn team(number: u128) -> TeamId {
        Uuid::from_u128(number).into()
    }

    /// A whole sync of one team with `members`, in an organization whose list holds `people`; whom the list was given.
    fn sync(closure: &UnlistedUsers, id: &str, people: &[u128], members: &[u128]) -> Vec<UserId> {
        let added = closure.people(id, true, true, people.iter().copied().map(user));
        closure.teams(id, true, true, [team(1)].into_iter());
        closure.members(
            id,
            team(1),
            true,
            true,
            members.iter().map(|number| (user(*number), Some("Ada"))),
        );
        closure.end(id);
        added.into_iter().map(|unlisted| unlisted.user).collect()
    }

    #[test]
    fn somebody_in_a_team_but_not_in_the_list_is_listed_from_the_next_sync_on() {
        let closure = UnlistedUsers::default();
        assert_eq!(sync(&closure, "1", &[1, 2], &[1, 9]), []);
        assert_eq!(sync(&closure, "2", &[1, 2], &[1, 9]), [user(9)]);
    }

    #[test]
    fn they_are_dropped_once_no_row_names_them_or_the_list_has_them() {
        let closure = UnlistedUsers::default();
        sync(&closure, "1", &[1], &[9]);
        sync(&closure, "2", &[1], &[1]);
        assert_eq!(sync(&closure, "3", &[1], &[9]), []);
        assert_eq!(sync(&closure, "4", &[1, 9], &[9]), []);
        assert_eq!(sync(&closure, "5", &[1, 9], &[9]), []);
    }

    #[test]
    fn a_sync_that_did_not_see_every_team_drops_nobody() {
        let closure = UnlistedUsers::default();
        sync(&closure, "1", &[1], &[9]);
        closure.people("2", true, true, [user(1)].into_iter());
        closure.teams("2", true, true, [team(1), team(2)].into_iter());
        closure.members("2", team(2), true, true, std::iter::empty());
        closure.end("2");
        assert_eq!(sync(&closure, "3", &[1], &[1]), [user(9)]);
    }

    #[test]
    fn only_a_sync_whose_every_list_this_process_read_from_its_beginning_is_whole() {
        let [first, last] = [true; 2];
        let people = |closure: &UnlistedUsers| drop(closure.people("1", first, last, [user(1)].into_iter()));
        let members = |closure: &UnlistedUsers, first| closure.members("1", team(1), first, last, std::iter::empty());
        let closure = UnlistedUsers::default();
        people(&closure);
        closure.teams("1", first, last, [team(1)].into_iter());
        members(&closure, first);
        assert!(closure.end("1"));
        assert!(!closure.end("1"), "what is forgotten is not told twice");

        people(&closure);
        closure.teams("1", !first, last, [team(1)].into_iter());
        members(&closure, first);
        assert!(!closure.end("1"));

        people(&closure);
        closure.teams("1", first, last, [team(1)].into_iter());
        members(&closure, !first);
        assert!(!closure.end("1"));
    }

    #[test]
    fn a_client_that_opens_syncs_without_end_is_bounded() {
        let closure = UnlistedUsers::default();
        for number in 0..1_000 {
            closure.people(&number.to_string(), true, false, [user(1)].into_iter());
        }
        assert_eq!(closure.lock().syncs.len(), SYNCS);
    }
}
