//! Keeps grants and users consistent: every grant's principal appears in the list of users.
//!
//! The provider's list of users may lack the principal of a grant: the user joined after the list was read, or the grant outlived
//! the user. The grant is still reported, with the name that its row has for the principal, and the user is added to the lists of
//! users that follow in this process, until a sync that read every list finds no grant that references the user.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::{Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use super::observed_lists::{ObservedLists, PageEnds, Progress};
use super::session::SessionHandle;
use crate::governance::model::{ResourceId, ResourceKind, ResourceTypeInfo};

/// A user that a grant references and the provider's list of users lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnlistedUser {
    pub(crate) user: Uuid,
    pub(crate) name: Option<String>,
}

impl UnlistedUser {
    fn new((user, name): (&Uuid, &Option<String>)) -> Self {
        Self {
            user: *user,
            name: name.clone(),
        }
    }
}

/// The users that are added to the list of users, with their names. A session is locked before them, never after.
#[derive(Debug, Default)]
pub(crate) struct UnlistedUsers {
    users: Mutex<BTreeMap<Uuid, Option<String>>>,
}

/// The result of recording a page of grants.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecordedGrants {
    /// How many rows have a principal that the sync's list of users lacks.
    pub(crate) newly_unlisted: usize,
    /// How many resources' grants were read, at the end of a list and once the resources are known.
    pub(crate) progress: Option<Progress>,
}

impl UnlistedUsers {
    /// Records a page of the list of users. At the list's end, returns the users that have to be added to it.
    pub(crate) fn record_users(
        &self,
        session: SessionHandle<'_>,
        user_type: &'static ResourceTypeInfo,
        page: PageEnds,
        users: impl Iterator<Item = Uuid>,
    ) -> Vec<UnlistedUser> {
        session.update_observed(|observed| {
            observed.record_resources(user_type, page, users);
            // A list that was not read completely does not show which users it lacks.
            if !(page.is_last && observed.is_complete(user_type)) {
                return Vec::new();
            }
            let mut unlisted = self.lock();
            unlisted.retain(|id, _| {
                !observed.shows(ResourceId {
                    resource_type: user_type,
                    id: *id,
                })
            });
            unlisted.iter().map(UnlistedUser::new).collect()
        })
    }

    /// The users that have to be added to the list of users after `after`, in the order of their ids. Empty if this process did not
    /// read that list.
    pub(crate) fn unlisted_after(
        &self,
        session: SessionHandle<'_>,
        user_type: &ResourceTypeInfo,
        after: Uuid,
    ) -> Vec<UnlistedUser> {
        if !session.update_observed(|observed| observed.is_complete(user_type)) {
            return Vec::new();
        }
        let unlisted = self.lock();
        let further = unlisted.range((Excluded(after), Unbounded));
        further.map(UnlistedUser::new).collect()
    }

    /// Records a page of the grants of a resource: the id and the name of each principal.
    pub(crate) fn record_grants<'a>(
        &self,
        session: SessionHandle<'_>,
        resource: ResourceId,
        page: PageEnds,
        principals: impl Iterator<Item = (ResourceId, Option<&'a str>)>,
    ) -> RecordedGrants {
        session.update_observed(|observed| {
            let users = principals.filter(|(principal, _)| principal.resource_type.kind == ResourceKind::User);
            let unlisted: Vec<_> = users
                .filter(|(user, _)| observed.record_principal(*user))
                .map(|(user, name)| (user.id, name.map(str::to_owned)))
                .collect();
            let newly_unlisted = unlisted.len();
            if newly_unlisted > 0 {
                self.lock().extend(unlisted);
            }
            observed.record_grants(resource, page);
            RecordedGrants {
                newly_unlisted,
                progress: page
                    .is_last
                    .then(|| observed.progress(resource.resource_type))
                    .flatten(),
            }
        })
    }

    /// Removes the users that no grant references any more, as far as the ended sync shows it: only a sync that read every list of
    /// the `types` does. Returns whether it did.
    pub(crate) fn end_sync(&self, observed: &ObservedLists, types: &[&'static ResourceTypeInfo]) -> bool {
        let is_complete = observed.are_complete(types);
        if is_complete {
            self.lock().retain(|user, _| observed.references(user));
        }
        is_complete
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Uuid, Option<String>>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::governance::model::examples::{self, GROUP, OBJECT, USER};
    use crate::governance::sync::session::Sessions;

    const ONLY_PAGE: PageEnds = PageEnds {
        is_first: true,
        is_last: true,
    };

    /// The last page of a list that another process began.
    const LAST_PAGE: PageEnds = PageEnds {
        is_first: false,
        is_last: true,
    };

    fn user(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    /// The syncs of an organization.
    #[derive(Default)]
    struct Syncs {
        sessions: Sessions,
        unlisted_users: UnlistedUsers,
    }

    impl Syncs {
        fn users(&self, id: &str, page: PageEnds, users: &[u128]) -> Vec<Uuid> {
            let users = users.iter().copied().map(user);
            let added = self
                .unlisted_users
                .record_users(self.sessions.session(id), &USER, page, users);
            added.into_iter().map(|unlisted| unlisted.user).collect()
        }

        fn resources(&self, id: &str, page: PageEnds, resources: &[u128]) {
            let resources = resources.iter().copied().map(Uuid::from_u128);
            let session = self.sessions.session(id);
            session.update_observed(|observed| observed.record_resources(&GROUP, page, resources));
        }

        fn grants(&self, id: &str, number: u128, page: PageEnds, principals: &[u128]) -> RecordedGrants {
            let principals = principals.iter().map(|number| (examples::user(*number), Some("Ada")));
            let session = self.sessions.session(id);
            self.unlisted_users
                .record_grants(session, examples::group(number), page, principals)
        }

        fn end(&self, id: &str) -> bool {
            let observed = self.sessions.end(id);
            observed.is_some_and(|observed| self.unlisted_users.end_sync(&observed, &[&USER, &GROUP]))
        }

        /// A complete sync of one resource, held by `principals`, and of `users`. Returns the users that were added to their list.
        fn complete(&self, id: &str, users: &[u128], principals: &[u128]) -> Vec<Uuid> {
            let added = self.users(id, ONLY_PAGE, users);
            self.resources(id, ONLY_PAGE, &[1]);
            self.grants(id, 1, ONLY_PAGE, principals);
            assert!(self.end(id));
            added
        }
    }

    #[test]
    fn a_principal_that_the_list_of_users_lacks_is_listed_from_the_next_sync_on() {
        let syncs = Syncs::default();
        assert_eq!(syncs.complete("1", &[1, 2], &[1, 9]), Vec::<Uuid>::new());
        assert_eq!(syncs.complete("2", &[1, 2], &[1, 9]), [user(9)]);
    }

    #[test]
    fn an_unlisted_user_is_removed_when_no_grant_references_it_or_the_list_has_it() {
        let syncs = Syncs::default();
        syncs.complete("1", &[1], &[9]);
        syncs.complete("2", &[1], &[1]);
        assert_eq!(syncs.complete("3", &[1], &[9]), Vec::<Uuid>::new());
        assert_eq!(syncs.complete("4", &[1, 9], &[9]), Vec::<Uuid>::new());
        assert_eq!(syncs.complete("5", &[1, 9], &[9]), Vec::<Uuid>::new());
    }

    #[test]
    fn a_sync_that_did_not_read_the_grants_of_every_resource_removes_no_unlisted_user() {
        let syncs = Syncs::default();
        syncs.complete("1", &[1], &[9]);
        syncs.users("2", ONLY_PAGE, &[1]);
        syncs.resources("2", ONLY_PAGE, &[1, 2]);
        syncs.grants("2", 2, ONLY_PAGE, &[]);
        assert!(!syncs.end("2"));
        assert_eq!(syncs.complete("3", &[1], &[1]), [user(9)]);
    }

    #[test]
    fn the_unlisted_users_continue_after_an_id_in_a_sync_that_read_the_list_of_users() {
        let syncs = Syncs::default();
        syncs.complete("1", &[1], &[7, 8, 9]);
        let after = |id| {
            let session = syncs.sessions.session(id);
            let unlisted = syncs.unlisted_users.unlisted_after(session, &USER, user(7));
            unlisted
                .into_iter()
                .map(|unlisted| unlisted.user)
                .collect::<Vec<Uuid>>()
        };
        assert_eq!(after("2"), Vec::<Uuid>::new());
        syncs.users("2", ONLY_PAGE, &[1]);
        assert_eq!(after("2"), [user(8), user(9)]);
    }

    #[test]
    fn a_sync_is_complete_only_if_this_process_read_every_list_from_its_beginning() {
        let syncs = Syncs::default();
        syncs.users("1", ONLY_PAGE, &[1]);
        syncs.resources("1", ONLY_PAGE, &[1]);
        syncs.grants("1", 1, ONLY_PAGE, &[]);
        assert!(syncs.end("1"));
        assert!(
            !syncs.end("1"),
            "a sync that ended before is reported as complete again"
        );

        syncs.users("1", ONLY_PAGE, &[1]);
        syncs.resources("1", LAST_PAGE, &[1]);
        syncs.grants("1", 1, ONLY_PAGE, &[]);
        assert!(!syncs.end("1"));

        syncs.users("1", ONLY_PAGE, &[1]);
        syncs.resources("1", ONLY_PAGE, &[1]);
        syncs.grants("1", 1, LAST_PAGE, &[]);
        assert!(!syncs.end("1"));
    }

    #[test]
    fn a_sync_is_complete_only_if_the_list_of_every_type_was_read() {
        let syncs = Syncs::default();
        let types: &[&'static ResourceTypeInfo] = &[&USER, &GROUP, &OBJECT];
        let ends = |objects_are_listed: bool, object_grants_are_listed: bool| {
            syncs.users("1", ONLY_PAGE, &[1]);
            syncs.resources("1", ONLY_PAGE, &[1]);
            syncs.grants("1", 1, ONLY_PAGE, &[]);
            let session = syncs.sessions.session("1");
            if objects_are_listed {
                let objects = [Uuid::from_u128(1)].into_iter();
                session.update_observed(|observed| observed.record_resources(&OBJECT, ONLY_PAGE, objects));
            }
            if object_grants_are_listed {
                let (object, nobody) = (examples::object(1), std::iter::empty());
                syncs.unlisted_users.record_grants(session, object, ONLY_PAGE, nobody);
            }
            let observed = syncs.sessions.end("1");
            observed.is_some_and(|observed| syncs.unlisted_users.end_sync(&observed, types))
        };
        assert!(!ends(false, false));
        assert!(!ends(true, false));
        assert!(ends(true, true));
    }

    #[test]
    fn progress_counts_each_resource_once() {
        let syncs = Syncs::default();
        assert_eq!(syncs.grants("1", 1, ONLY_PAGE, &[]).progress, None);
        syncs.resources("1", ONLY_PAGE, &[1, 2]);
        let progress = |read| Some(Progress { read, resources: 2 });
        assert_eq!(syncs.grants("1", 1, ONLY_PAGE, &[]).progress, progress(1));
        assert_eq!(syncs.grants("1", 2, ONLY_PAGE, &[]).progress, progress(2));
    }
}
