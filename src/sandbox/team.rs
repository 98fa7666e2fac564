//! Teams: their members, and the pipelines and suites that they give access to.

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::indexed_list::{IndexedList, Keyed};

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

/// What the members of a team may create and destroy.
#[expect(clippy::struct_excessive_bools, reason = "the fields are Buildkite's")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TeamPermissions {
    /// Create pipelines.
    pub create_pipelines: bool,
    /// Create test suites.
    pub create_suites: bool,
    /// Create package registries.
    pub create_registries: bool,
    /// Destroy package registries.
    pub destroy_registries: bool,
    /// Destroy packages.
    pub destroy_packages: bool,
}

impl Default for TeamPermissions {
    fn default() -> Self {
        Self {
            create_pipelines: true,
            create_suites: true,
            create_registries: true,
            destroy_registries: false,
            destroy_packages: false,
        }
    }
}

/// The level of access that a team gives to a pipeline, from the lowest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PipelineLevel {
    /// Sees the pipeline and its builds.
    ReadOnly,
    /// Starts builds as well.
    BuildAndRead,
    /// Changes the pipeline as well.
    ManageBuildAndRead,
}

/// The level of access that a team gives to a suite, from the lowest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SuiteLevel {
    /// Reads the suite.
    Read,
    /// Reads and changes the suite.
    Edit,
}

/// A row of a team's list of pipelines or suites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TeamAccess<L> {
    /// The UUID of the pipeline or suite.
    pub object: Uuid,
    /// The level.
    pub level: L,
    /// When this access began.
    pub created_at: Timestamp,
}

/// A row of a team's list of pipelines.
pub type TeamPipeline = TeamAccess<PipelineLevel>;

/// A row of a team's list of suites.
pub type TeamSuite = TeamAccess<SuiteLevel>;

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
    /// What its members may create and destroy.
    pub permissions: TeamPermissions,
    pub(super) members: IndexedList<Membership>,
    pub(super) pipelines: IndexedList<TeamPipeline>,
    pub(super) suites: IndexedList<TeamSuite>,
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
            permissions: TeamPermissions::default(),
            members: IndexedList::default(),
            pipelines: IndexedList::default(),
            suites: IndexedList::default(),
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

    /// The pipelines that it gives access to, oldest first.
    #[must_use]
    pub fn pipelines(&self) -> &[TeamPipeline] {
        self.pipelines.as_slice()
    }

    /// The level of access that it gives to a pipeline.
    #[must_use]
    pub fn pipeline_level(&self, pipeline: Uuid) -> Option<PipelineLevel> {
        self.pipelines.get(pipeline).map(|row| row.level)
    }

    /// Gives access to a pipeline, or changes the level.
    pub fn set_pipeline(&mut self, pipeline: Uuid, level: PipelineLevel, now: Timestamp) -> TeamPipeline {
        set_access(&mut self.pipelines, pipeline, level, now)
    }

    /// Takes access to a pipeline away.
    pub fn remove_pipeline(&mut self, pipeline: Uuid) -> Option<TeamPipeline> {
        self.pipelines.remove(pipeline)
    }

    /// The suites that it gives access to, oldest first.
    #[must_use]
    pub fn suites(&self) -> &[TeamSuite] {
        self.suites.as_slice()
    }

    /// The level of access that it gives to a suite.
    #[must_use]
    pub fn suite_level(&self, suite: Uuid) -> Option<SuiteLevel> {
        self.suites.get(suite).map(|row| row.level)
    }

    /// Gives access to a suite, or changes the level.
    pub fn set_suite(&mut self, suite: Uuid, level: SuiteLevel, now: Timestamp) -> TeamSuite {
        set_access(&mut self.suites, suite, level, now)
    }

    /// Takes access to a suite away.
    pub fn remove_suite(&mut self, suite: Uuid) -> Option<TeamSuite> {
        self.suites.remove(suite)
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

/// Adds a row, or changes the level in the existing row.
fn set_access<L: Copy>(rows: &mut IndexedList<TeamAccess<L>>, object: Uuid, level: L, now: Timestamp) -> TeamAccess<L> {
    let created_at = rows.get(object).map_or(now, |row| row.created_at);
    let row = TeamAccess {
        object,
        level,
        created_at,
    };
    rows.push(row);
    row
}

impl<L> Keyed for TeamAccess<L> {
    fn key(&self) -> Uuid {
        self.object
    }

    fn created_at(&self) -> Timestamp {
        self.created_at
    }
}

impl Keyed for Membership {
    fn key(&self) -> Uuid {
        self.user
    }

    fn created_at(&self) -> Timestamp {
        self.created_at
    }
}

impl Keyed for Team {
    fn key(&self) -> Uuid {
        self.id
    }

    fn created_at(&self) -> Timestamp {
        self.created_at
    }
}
