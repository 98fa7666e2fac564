//! The organization that the sandbox serves: people, teams and who is in them. This is the truth against which a test
//! compares, and what it edits behind the connector's back. What callers are shown of it is decided elsewhere.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::indexed_list::{IndexedList, Keyed};

/// A person's role in the organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OrganizationRole {
    /// Controls every team and sees the secret ones.
    Admin,
    /// Anybody else.
    Member,
}

/// Whether a person must sign in through the organization's identity provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SsoMode {
    /// Only through the identity provider.
    Required,
    /// Any way.
    Optional,
}

/// A person's role in a team.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TeamRole {
    /// Is in the team.
    Member,
    /// Is in the team and manages its members.
    Maintainer,
}

/// Who is shown a team.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Privacy {
    /// Everybody in the organization.
    Visible,
    /// Admins and the team's own members.
    Secret,
}

/// What becomes of the member rows of a person who leaves the organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberRows {
    /// They go with the person.
    Dropped,
    /// They stay behind and name somebody whom the organization no longer lists.
    Kept,
}

/// Somebody in the organization.
#[derive(Clone, Debug)]
pub struct Person {
    /// The user's UUID.
    pub id: Uuid,
    /// Display name: neither unique nor necessarily present.
    pub name: String,
    /// E-mail address, case as typed.
    pub email: String,
    /// Role in the organization.
    pub role: OrganizationRole,
    /// How they sign in.
    pub sso_mode: SsoMode,
    /// When the account was made.
    pub created_at: Timestamp,
}

impl Person {
    /// An ordinary member with a fresh id.
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

/// A row of a team's member list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The user's UUID.
    pub user: Uuid,
    /// Role in the team.
    pub role: TeamRole,
    /// When this membership began: starts anew when somebody is removed and added again.
    pub created_at: Timestamp,
}

/// A team and its members.
#[derive(Clone, Debug)]
pub struct Team {
    /// The team's UUID.
    pub id: Uuid,
    /// Slug, unique in the organization. No way to address the team.
    pub slug: String,
    /// Display name.
    pub name: String,
    /// Description; Buildkite answers `""` or null where there is none.
    pub description: Option<String>,
    /// Who is shown it.
    pub privacy: Privacy,
    /// Whether people who join the organization are put into it.
    pub default: bool,
    /// The role that a default team gives to those who join.
    pub default_member_role: TeamRole,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it, if known.
    pub created_by: Option<Uuid>,
    pub(super) members: IndexedList<Membership>,
}

impl Team {
    /// A visible team with a fresh id and nobody in it.
    #[must_use]
    pub fn new(slug: &str, name: &str) -> Self {
        Self {
            id: Uuid::new_v4(),
            slug: slug.to_owned(),
            name: name.to_owned(),
            description: None,
            privacy: Privacy::Visible,
            default: false,
            default_member_role: TeamRole::Member,
            created_at: Timestamp::now(),
            created_by: None,
            members: IndexedList::default(),
        }
    }

    /// The member rows, oldest first.
    #[must_use]
    pub fn members(&self) -> &[Membership] {
        self.members.as_slice()
    }

    /// One person's row.
    #[must_use]
    pub fn member(&self, user: Uuid) -> Option<&Membership> {
        self.members.get(user)
    }

    /// The role that somebody holds here.
    #[must_use]
    pub fn role_of(&self, user: Uuid) -> Option<TeamRole> {
        self.member(user).map(|row| row.role)
    }

    /// Puts somebody into the team, or changes their role where they stand.
    pub fn set_member(&mut self, user: Uuid, role: TeamRole, now: Timestamp) -> Membership {
        let created_at = self.member(user).map_or(now, |row| row.created_at);
        let row = Membership { user, role, created_at };
        self.members.push(row);
        row
    }

    /// Takes somebody out of the team.
    pub fn remove_member(&mut self, user: Uuid) -> Option<Membership> {
        self.members.remove(user)
    }

    /// Puts a row before all others, as a list sorted by something else than age would.
    pub(super) fn set_member_ahead(&mut self, row: Membership) {
        self.members.push_front(row);
    }

    /// Whether this person is the only maintainer.
    pub(super) fn is_last_maintainer(&self, user: Uuid) -> bool {
        self.role_of(user) == Some(TeamRole::Maintainer)
            && self
                .members()
                .iter()
                .filter(|row| row.role == TeamRole::Maintainer)
                .count()
                == 1
    }
}

impl Keyed for Person {
    fn key(&self) -> Uuid {
        self.id
    }
}

impl Keyed for Membership {
    fn key(&self) -> Uuid {
        self.user
    }
}

impl Keyed for Team {
    fn key(&self) -> Uuid {
        self.id
    }
}

/// A Buildkite organization.
#[derive(Clone, Debug)]
pub struct Organization {
    /// The organization's UUID.
    pub id: Uuid,
    /// Slug: case-sensitive in paths.
    pub slug: String,
    /// Display name.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    people: IndexedList<Person>,
    teams: IndexedList<Team>,
    // Kept for the names on member rows that outlive their person, and for the owners of tokens.
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
            people: IndexedList::default(),
            teams: IndexedList::default(),
            departed: HashMap::new(),
        }
    }

    /// Everybody in the organization, oldest first.
    #[must_use]
    pub fn people(&self) -> &[Person] {
        self.people.as_slice()
    }

    /// Somebody who is in the organization.
    #[must_use]
    pub fn person(&self, id: Uuid) -> Option<&Person> {
        self.people.get(id)
    }

    /// The first person with this e-mail address, whatever its case.
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

    /// The team of this slug.
    #[must_use]
    pub fn team_by_slug(&self, slug: &str) -> Option<&Team> {
        self.teams().iter().find(|team| team.slug == slug)
    }

    /// One team, to be changed.
    pub fn team_mut(&mut self, id: Uuid) -> Option<&mut Team> {
        self.teams.get_mut(id)
    }

    /// Whether this person is an admin of the organization.
    #[must_use]
    pub fn is_admin(&self, user: Uuid) -> bool {
        self.person(user)
            .is_some_and(|person| person.role == OrganizationRole::Admin)
    }

    /// The first admin, who owns the default token; in an organization without one, the first person.
    #[must_use]
    pub fn owner(&self) -> Option<&Person> {
        self.people()
            .iter()
            .find(|person| person.role == OrganizationRole::Admin)
            .or_else(|| self.people().first())
    }

    /// Lets somebody join: default teams take them in, as Buildkite's do. Adding a known id again replaces the person.
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

    /// Puts a person before all others in the list.
    pub(super) fn add_person_ahead(&mut self, person: Person) {
        self.people.push_front(person);
    }

    /// Takes somebody out of the organization; false when they were not in it.
    pub fn remove_person(&mut self, id: Uuid, rows: MemberRows) -> bool {
        let Some(person) = self.people.remove(id) else {
            return false;
        };
        if rows == MemberRows::Dropped {
            for team in self.teams.iter_mut() {
                team.remove_member(id);
            }
        }
        self.departed.insert(id, person);
        true
    }

    /// Changes somebody's role in the organization; false when they are not in it.
    pub fn set_role(&mut self, id: Uuid, role: OrganizationRole) -> bool {
        self.people.get_mut(id).map(|person| person.role = role).is_some()
    }

    /// Adds a team, or replaces the one with its id.
    pub fn add_team(&mut self, team: Team) -> Uuid {
        let id = team.id;
        self.teams.push(team);
        id
    }

    /// Puts a team before all others in the list.
    pub(super) fn add_team_ahead(&mut self, team: Team) {
        self.teams.push_front(team);
    }

    /// Removes a team with its member rows.
    pub fn remove_team(&mut self, id: Uuid) -> Option<Team> {
        self.teams.remove(id)
    }

    /// Puts somebody into a team or changes their role; false when there is no such team.
    pub fn set_membership(&mut self, team: Uuid, user: Uuid, role: TeamRole) -> bool {
        self.team_mut(team)
            .map(|team| team.set_member(user, role, Timestamp::now()))
            .is_some()
    }

    /// Takes somebody out of a team; false when they were not in it.
    pub fn remove_membership(&mut self, team: Uuid, user: Uuid) -> bool {
        self.team_mut(team).and_then(|team| team.remove_member(user)).is_some()
    }

    /// Somebody who is or was in the organization.
    pub(super) fn current_or_former_person(&self, id: Uuid) -> Option<&Person> {
        self.person(id).or_else(|| self.departed.get(&id))
    }
}
