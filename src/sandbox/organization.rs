//! The organization that the sandbox serves: people, teams and memberships. Tests compare against this state and change
//! it without an API request. Access control is in the endpoints.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::indexed_list::{IndexedList, Keyed};

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

/// A person's role in a team.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TeamRole {
    /// A member.
    Member,
    /// A member who manages the team's members.
    Maintainer,
}

/// Visibility of a team.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Privacy {
    /// Visible to everyone in the organization.
    Visible,
    /// Visible to admins and to the team's members.
    Secret,
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

/// A row of a team's member list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The user's UUID.
    pub user: Uuid,
    /// Role in the team.
    pub role: TeamRole,
    /// When this membership began; reset if the person is removed and added again.
    pub created_at: Timestamp,
}

/// A team and its members.
#[derive(Clone, Debug)]
pub struct Team {
    /// The team's UUID.
    pub id: Uuid,
    /// Slug, unique in the organization. The API does not address teams by slug.
    pub slug: String,
    /// Display name.
    pub name: String,
    /// Description; without one, Buildkite returns `""` or null.
    pub description: Option<String>,
    /// Visibility.
    pub privacy: Privacy,
    /// Whether people who join the organization are added to it.
    pub default: bool,
    /// The role of people who are added because this is a default team.
    pub default_member_role: TeamRole,
    /// When it was created.
    pub created_at: Timestamp,
    /// Its creator, if known.
    pub created_by: Option<Uuid>,
    pub(super) members: IndexedList<Membership>,
}

impl Team {
    /// A visible team with a new id and without members.
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

    /// One person's role in this team.
    #[must_use]
    pub fn role_of(&self, user: Uuid) -> Option<TeamRole> {
        self.member(user).map(|row| row.role)
    }

    /// Adds a member, or changes the role in the existing row.
    pub fn set_member(&mut self, user: Uuid, role: TeamRole, now: Timestamp) -> Membership {
        let created_at = self.member(user).map_or(now, |row| row.created_at);
        let row = Membership { user, role, created_at };
        self.members.push(row);
        row
    }

    /// Removes a member.
    pub fn remove_member(&mut self, user: Uuid) -> Option<Membership> {
        self.members.remove(user)
    }

    /// Inserts a row before all others, as in a list that is not sorted by age.
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
    /// Slug; case-sensitive in paths.
    pub slug: String,
    /// Display name.
    pub name: String,
    /// When it was created.
    pub created_at: Timestamp,
    people: IndexedList<Person>,
    teams: IndexedList<Team>,
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
            people: IndexedList::default(),
            teams: IndexedList::default(),
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

    /// Removes a team and its member rows.
    pub fn remove_team(&mut self, id: Uuid) -> Option<Team> {
        self.teams.remove(id)
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

    /// A person who is or was in the organization.
    pub(super) fn current_or_former_person(&self, id: Uuid) -> Option<&Person> {
        self.person(id).or_else(|| self.departed.get(&id))
    }
}
