//! The organization that the sandbox serves, and its people. Tests compare against this state and change
//! it without an API request. Access control is in the endpoints.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::agents::{Agent, AuditEvent};
use super::clusters::{Cluster, Maintainer};
use super::indexed_list::{IndexedList, Keyed};
use super::invitations::Invitation;
use super::objects::{Registry, Suite};
use super::pipelines::Pipeline;
use super::team::{Team, TeamRole};

/// A person's role in the organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OrganizationRole {
    /// Manages every team and sees the secret ones.
    Admin,
    /// An ordinary member.
    Member,
}

/// Whether a person must sign in through the organization's identity provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SsoMode {
    /// Sign-in only through the identity provider.
    Required,
    /// Any sign-in method.
    Optional,
}

/// What happens to the member rows of a person who leaves the organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberRows {
    /// They are removed.
    Dropped,
    /// They stay and refer to a person whom the organization no longer lists.
    Kept,
}

/// A person in the organization.
#[derive(Clone, Debug)]
pub struct Person {
    /// The user's UUID.
    pub id: Uuid,
    /// Display name; may be empty and need not be unique.
    pub name: String,
    /// E-mail address, in its original case.
    pub email: String,
    /// Role in the organization.
    pub role: OrganizationRole,
    /// Sign-in requirement.
    pub sso_mode: SsoMode,
    /// When the account was created.
    pub created_at: Timestamp,
}

impl Person {
    /// An ordinary member with a new id.
    #[must_use]
    pub fn new(name: &str, email: &str) -> Self {
        Self {
            id: Uuid::new_v4(),
            name: name.to_owned(),
            email: email.to_owned(),
            role: OrganizationRole::Member,
            sso_mode: SsoMode::Optional,
            created_at: Timestamp::now(),
        }
    }
}

impl Keyed for Person {
    fn key(&self) -> Uuid {
        self.id
    }

    fn created_at(&self) -> Timestamp {
        self.created_at
    }
}

/// A Buildkite organization.
#[derive(Clone, Debug)]
pub struct Organization {
    /// The organization's UUID.
    pub id: Uuid,
    /// Slug; case-sensitive in paths.
    pub slug: String,
    /// Display name.
    pub name: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// Maximum number of pending invitations.
    pub invitation_quota: usize,
    pub(super) people: IndexedList<Person>,
    pub(super) teams: IndexedList<Team>,
    pub(super) pipelines: IndexedList<Pipeline>,
    pub(super) suites: IndexedList<Suite>,
    pub(super) registries: IndexedList<Registry>,
    pub(super) clusters: IndexedList<Cluster>,
    pub(super) invitations: IndexedList<Invitation>,
    pub(super) agents: IndexedList<Agent>,
    pub(super) audit_events: IndexedList<AuditEvent>,
    // Kept for the names on member rows of people who left, and for the owners of tokens.
    departed: HashMap<Uuid, Person>,
}

impl Organization {
    /// An organization without people or teams.
    #[must_use]
    pub fn new(id: Uuid, slug: &str, name: &str, created_at: Timestamp) -> Self {
        Self {
            id,
            slug: slug.to_owned(),
            name: name.to_owned(),
            created_at,
            invitation_quota: 20,
            people: IndexedList::default(),
            teams: IndexedList::default(),
            pipelines: IndexedList::default(),
            suites: IndexedList::default(),
            registries: IndexedList::default(),
            clusters: IndexedList::default(),
            invitations: IndexedList::default(),
            agents: IndexedList::default(),
            audit_events: IndexedList::default(),
            departed: HashMap::new(),
        }
    }

    /// All people in the organization, oldest first.
    #[must_use]
    pub fn people(&self) -> &[Person] {
        self.people.as_slice()
    }

    /// One person in the organization.
    #[must_use]
    pub fn person(&self, id: Uuid) -> Option<&Person> {
        self.people.get(id)
    }

    /// The first person with this e-mail address; case is ignored.
    #[must_use]
    pub fn person_by_email(&self, email: &str) -> Option<&Person> {
        self.people()
            .iter()
            .find(|person| person.email.eq_ignore_ascii_case(email))
    }

    /// All teams, oldest first.
    #[must_use]
    pub fn teams(&self) -> &[Team] {
        self.teams.as_slice()
    }

    /// One team.
    #[must_use]
    pub fn team(&self, id: Uuid) -> Option<&Team> {
        self.teams.get(id)
    }

    /// The team with this slug.
    #[must_use]
    pub fn team_by_slug(&self, slug: &str) -> Option<&Team> {
        self.teams().iter().find(|team| team.slug == slug)
    }

    /// One team, mutable.
    pub fn team_mut(&mut self, id: Uuid) -> Option<&mut Team> {
        self.teams.get_mut(id)
    }

    /// Whether this person is an admin of the organization.
    #[must_use]
    pub fn is_admin(&self, user: Uuid) -> bool {
        self.person(user)
            .is_some_and(|person| person.role == OrganizationRole::Admin)
    }

    /// The first admin, or the first person if there is no admin. This person owns the default token.
    #[must_use]
    pub fn owner(&self) -> Option<&Person> {
        self.people()
            .iter()
            .find(|person| person.role == OrganizationRole::Admin)
            .or_else(|| self.people().first())
    }

    /// Adds a person to the organization and, as Buildkite does, to its default teams. A person with a known id is
    /// replaced.
    pub fn add_person(&mut self, person: Person) -> Uuid {
        let id = person.id;
        if !self.people.contains(id) {
            let now = Timestamp::now();
            for team in self.teams.iter_mut().filter(|team| team.default) {
                team.set_member(id, team.default_member_role, now);
            }
        }
        self.departed.remove(&id);
        self.people.push(person);
        id
    }

    /// Inserts a person before all others.
    pub(super) fn add_person_ahead(&mut self, person: Person) {
        self.people.push_front(person);
    }

    /// Removes a person from the organization. Returns false if there is no such person.
    pub fn remove_person(&mut self, id: Uuid, rows: MemberRows) -> bool {
        let Some(person) = self.people.remove(id) else {
            return false;
        };
        if rows == MemberRows::Dropped {
            for team in self.teams.iter_mut() {
                team.remove_member(id);
            }
            self.remove_maintainers(Maintainer::User(id));
        }
        self.departed.insert(id, person);
        true
    }

    /// Changes a person's role in the organization. Returns false if there is no such person.
    pub fn set_role(&mut self, id: Uuid, role: OrganizationRole) -> bool {
        self.people.get_mut(id).map(|person| person.role = role).is_some()
    }

    /// Adds a team, or replaces the team with the same id.
    pub fn add_team(&mut self, team: Team) -> Uuid {
        let id = team.id;
        self.teams.push(team);
        id
    }

    /// Inserts a team before all others.
    pub(super) fn add_team_ahead(&mut self, team: Team) {
        self.teams.push_front(team);
    }

    /// Removes a team, its member rows, and the access that it gives.
    pub fn remove_team(&mut self, id: Uuid) -> Option<Team> {
        let team = self.teams.remove(id)?;
        for registry in self.registries.iter_mut() {
            registry.teams.retain(|team| *team != id);
        }
        self.remove_maintainers(Maintainer::Team(id));
        Some(team)
    }

    /// Adds a member to a team or changes the member's role. Returns false if there is no such team.
    pub fn set_membership(&mut self, team: Uuid, user: Uuid, role: TeamRole) -> bool {
        self.team_mut(team)
            .map(|team| team.set_member(user, role, Timestamp::now()))
            .is_some()
    }

    /// Removes a member from a team. Returns false if there is no such membership.
    pub fn remove_membership(&mut self, team: Uuid, user: Uuid) -> bool {
        self.team_mut(team).and_then(|team| team.remove_member(user)).is_some()
    }

    /// A person who left, by e-mail address; case is ignored.
    pub(super) fn former_person_by_email(&self, email: &str) -> Option<&Person> {
        self.departed
            .values()
            .find(|person| person.email.eq_ignore_ascii_case(email))
    }

    /// A person who is or was in the organization.
    pub(super) fn current_or_former_person(&self, id: Uuid) -> Option<&Person> {
        self.person(id).or_else(|| self.departed.get(&id))
    }
}
