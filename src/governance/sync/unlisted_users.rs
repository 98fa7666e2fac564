//! Keeps grants and users consistent: every grant's principal appears in the user listing.
//!
//! Buildkite's organization list may lack somebody whom a member row names (they joined meanwhile, or the row outlived
//! them). The grant is still reported, with the row's name for its principal, and the person is added to the people listings
//! that follow in this process, until a sync that saw every team finds no row that names them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use uuid::Uuid;

/// Syncs that are remembered at once; a platform runs one, and a second while the first one ends.
const MAX_SESSIONS: usize = 8;

/// Names somebody whom the organization's list did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnlistedUser {
    pub(crate) user: Uuid,
    pub(crate) name: Option<String>,
}

impl UnlistedUser {
    fn of((user, name): (&Uuid, &Option<String>)) -> Self {
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
    unlisted: BTreeMap<Uuid, Option<String>>,
    /// By sync id, the empty one for clients that send none; the oldest is forgotten first.
    sessions: HashMap<String, ObservedLists>,
    sequence: u64,
}

#[derive(Debug, Default)]
struct ObservedLists {
    sequence: u64,
    users: HashSet<Uuid>,
    users_state: ListState,
    teams: HashSet<Uuid>,
    teams_state: ListState,
    member_lists: HashMap<Uuid, ListState>,
    /// Teams whose members were read whole.
    read: HashSet<Uuid>,
    /// Whom member rows name and the people list does not.
    referenced: HashSet<Uuid>,
}

/// How much of a list this process has read. One that another process began is never known whole.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum ListState {
    #[default]
    NotStarted,
    Partial,
    Complete,
}

impl ListState {
    fn record_page(&mut self, first: bool, last: bool) {
        if first {
            *self = Self::Partial;
        }
        if last && *self == Self::Partial {
            *self = Self::Complete;
        }
    }

    fn is_complete(self) -> bool {
        self == Self::Complete
    }
}

impl UnlistedUsers {
    /// Notes a part of the people list. At its end, names those who have to be added to it.
    pub(crate) fn users(
        &self,
        session: &str,
        first: bool,
        last: bool,
        users: impl Iterator<Item = Uuid>,
    ) -> Vec<UnlistedUser> {
        self.with_session(session, |unlisted, session| {
            if first {
                session.users.clear();
            }
            session.users_state.record_page(first, last);
            session.users.extend(users);
            // Nobody can be said to be missing from a list that is not known whole.
            if !(last && session.users_state.is_complete()) {
                return Vec::new();
            }
            unlisted.retain(|user, _| !session.users.contains(user));
            unlisted.iter().map(UnlistedUser::of).collect()
        })
    }

    /// Those who have to be added to the people list behind `after`, in the order of their ids; none where this process did not
    /// read that list.
    pub(crate) fn unlisted_after(&self, session: &str, after: Uuid) -> Vec<UnlistedUser> {
        self.with_session(session, |unlisted, session| {
            let is_complete = session.users_state.is_complete();
            let further = unlisted.iter().filter(|(user, _)| is_complete && **user > after);
            further.map(UnlistedUser::of).collect()
        })
    }

    /// Notes a part of the team list.
    pub(crate) fn resources(&self, session: &str, first: bool, last: bool, teams: impl Iterator<Item = Uuid>) {
        self.with_session(session, |_, session| {
            session.teams_state.record_page(first, last);
            session.teams.extend(teams);
        });
    }

    /// Notes a part of a team's members; counts those whom this sync's people list did not hold.
    pub(crate) fn grants<'a>(
        &self,
        session: &str,
        team: Uuid,
        first: bool,
        last: bool,
        members: impl Iterator<Item = (Uuid, Option<&'a str>)>,
    ) -> usize {
        self.with_session(session, |unlisted, session| {
            let mut newly_unlisted = 0;
            let is_complete = session.users_state.is_complete();
            for (user, name) in members {
                if is_complete && session.users.contains(&user) {
                    continue;
                }
                session.referenced.insert(user);
                if is_complete {
                    newly_unlisted += 1;
                    unlisted.insert(user, name.map(str::to_owned));
                }
            }
            let reading = session.member_lists.entry(team).or_default();
            reading.record_page(first, last);
            if reading.is_complete() {
                session.read.insert(team);
            }
            newly_unlisted
        })
    }

    /// How many teams of a sync were read, of how many; none while the teams are not known.
    pub(crate) fn progress(&self, session: &str) -> Option<(usize, usize)> {
        let state = self.lock();
        let session = state
            .sessions
            .get(session)
            .filter(|session| session.teams_state.is_complete())?;
        Some((session.read.len().min(session.teams.len()), session.teams.len()))
    }

    /// Forgets a sync. One that read people, teams and every team's members also tells who is named no more; whether it did is
    /// the answer.
    pub(crate) fn end_session(&self, session: &str) -> bool {
        let mut state = self.lock();
        let Some(ended) = state.sessions.remove(session) else {
            return false;
        };
        let saw_all_lists =
            ended.users_state.is_complete() && ended.teams_state.is_complete() && ended.teams.is_subset(&ended.read);
        if saw_all_lists {
            state.unlisted.retain(|user, _| ended.referenced.contains(user));
        }
        saw_all_lists
    }

    fn with_session<T>(
        &self,
        id: &str,
        update: impl FnOnce(&mut BTreeMap<Uuid, Option<String>>, &mut ObservedLists) -> T,
    ) -> T {
        let mut state = self.lock();
        let State {
            unlisted,
            sessions,
            sequence,
        } = &mut *state;
        if !sessions.contains_key(id) && sessions.len() >= MAX_SESSIONS {
            let oldest = sessions
                .iter()
                .min_by_key(|(_, session)| session.sequence)
                .map(|(id, _)| id.clone());
            oldest.and_then(|oldest| sessions.remove(&oldest));
        }
        *sequence += 1;
        let sequence = *sequence;
        update(
            unlisted,
            sessions.entry(id.to_owned()).or_insert_with(|| ObservedLists {
                sequence,
                ..ObservedLists::default()
            }),
        )
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    fn team(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    /// A whole sync of one team with `members`, in an organization whose list holds `users`; whom the list was given.
    fn session(unlisted_users: &UnlistedUsers, id: &str, users: &[u128], members: &[u128]) -> Vec<Uuid> {
        let added = unlisted_users.users(id, true, true, users.iter().copied().map(user));
        unlisted_users.resources(id, true, true, [team(1)].into_iter());
        unlisted_users.grants(
            id,
            team(1),
            true,
            true,
            members.iter().map(|number| (user(*number), Some("Ada"))),
        );
        unlisted_users.end_session(id);
        added.into_iter().map(|unlisted| unlisted.user).collect()
    }

    #[test]
    fn somebody_in_a_team_but_not_in_the_list_is_listed_from_the_next_sync_on() {
        let unlisted_users = UnlistedUsers::default();
        assert_eq!(session(&unlisted_users, "1", &[1, 2], &[1, 9]), Vec::<Uuid>::new());
        assert_eq!(session(&unlisted_users, "2", &[1, 2], &[1, 9]), [user(9)]);
    }

    #[test]
    fn they_are_dropped_once_no_row_names_them_or_the_list_has_them() {
        let unlisted_users = UnlistedUsers::default();
        session(&unlisted_users, "1", &[1], &[9]);
        session(&unlisted_users, "2", &[1], &[1]);
        assert_eq!(session(&unlisted_users, "3", &[1], &[9]), Vec::<Uuid>::new());
        assert_eq!(session(&unlisted_users, "4", &[1, 9], &[9]), Vec::<Uuid>::new());
        assert_eq!(session(&unlisted_users, "5", &[1, 9], &[9]), Vec::<Uuid>::new());
    }

    #[test]
    fn a_sync_that_did_not_see_every_team_drops_nobody() {
        let unlisted_users = UnlistedUsers::default();
        session(&unlisted_users, "1", &[1], &[9]);
        unlisted_users.users("2", true, true, [user(1)].into_iter());
        unlisted_users.resources("2", true, true, [team(1), team(2)].into_iter());
        unlisted_users.grants("2", team(2), true, true, std::iter::empty());
        unlisted_users.end_session("2");
        assert_eq!(session(&unlisted_users, "3", &[1], &[1]), [user(9)]);
    }

    #[test]
    fn only_a_sync_whose_every_list_this_process_read_from_its_beginning_is_whole() {
        let [first, last] = [true; 2];
        let users =
            |unlisted_users: &UnlistedUsers| drop(unlisted_users.users("1", first, last, [user(1)].into_iter()));
        let members = |unlisted_users: &UnlistedUsers, first| {
            unlisted_users.grants("1", team(1), first, last, std::iter::empty())
        };
        let unlisted_users = UnlistedUsers::default();
        users(&unlisted_users);
        unlisted_users.resources("1", first, last, [team(1)].into_iter());
        members(&unlisted_users, first);
        assert!(unlisted_users.end_session("1"));
        assert!(!unlisted_users.end_session("1"), "what is forgotten is not told twice");

        users(&unlisted_users);
        unlisted_users.resources("1", !first, last, [team(1)].into_iter());
        members(&unlisted_users, first);
        assert!(!unlisted_users.end_session("1"));

        users(&unlisted_users);
        unlisted_users.resources("1", first, last, [team(1)].into_iter());
        members(&unlisted_users, !first);
        assert!(!unlisted_users.end_session("1"));
    }

    #[test]
    fn a_client_that_opens_syncs_without_end_is_bounded() {
        let unlisted_users = UnlistedUsers::default();
        for number in 0..1_000 {
            unlisted_users.users(&number.to_string(), true, false, [user(1)].into_iter());
        }
        assert_eq!(unlisted_users.lock().sessions.len(), MAX_SESSIONS);
    }
}
