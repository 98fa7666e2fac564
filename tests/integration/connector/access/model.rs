//! What each change does, by the table of the design.

use buildkite_connector::sandbox::Endpoint;

/// A resource type and the type of its principal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Pipeline,
    Suite,
    ClusterByTeam,
    ClusterByUser,
    Organization,
}

impl Kind {
    pub const ALL: [Self; 5] = [
        Self::Pipeline,
        Self::Suite,
        Self::ClusterByTeam,
        Self::ClusterByUser,
        Self::Organization,
    ];

    pub fn resource_type(self) -> &'static str {
        match self {
            Self::Pipeline => "pipeline",
            Self::Suite => "suite",
            Self::ClusterByTeam | Self::ClusterByUser => "cluster",
            Self::Organization => "organization",
        }
    }

    pub fn principal_type(self) -> &'static str {
        match self {
            Self::Pipeline | Self::Suite | Self::ClusterByTeam => "team",
            Self::ClusterByUser | Self::Organization => "user",
        }
    }

    pub fn levels(self) -> &'static [&'static str] {
        match self {
            Self::Pipeline => &["read_only", "build_and_read", "manage_build_and_read"],
            Self::Suite => &["read", "edit"],
            Self::ClusterByTeam | Self::ClusterByUser => &["maintainer"],
            Self::Organization => &["member", "admin"],
        }
    }

    /// What a principal of the organization can hold.
    pub fn states(self) -> Vec<Option<&'static str>> {
        let nothing = (self != Self::Organization).then_some(None);
        nothing
            .into_iter()
            .chain(self.levels().iter().copied().map(Some))
            .collect()
    }

    pub fn writes(self) -> &'static [Endpoint] {
        match self {
            Self::Pipeline => &[
                Endpoint::AddTeamPipeline,
                Endpoint::ChangeTeamPipeline,
                Endpoint::RemoveTeamPipeline,
            ],
            Self::Suite => &[
                Endpoint::AddTeamSuite,
                Endpoint::ChangeTeamSuite,
                Endpoint::RemoveTeamSuite,
            ],
            Self::ClusterByTeam | Self::ClusterByUser => {
                &[Endpoint::AddClusterMaintainer, Endpoint::RemoveClusterMaintainer]
            }
            Self::Organization => &[Endpoint::ChangeOrganizationMember],
        }
    }

    pub fn changes(self) -> impl Iterator<Item = Change> {
        let levels = self.levels().iter().copied();
        levels.flat_map(|level| [Change::Grant(level), Change::Revoke(level)])
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Grant(&'static str),
    Revoke(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Done,
    AlreadyExists,
    AlreadyRevoked,
    Replaced(&'static str),
}

impl Change {
    /// What is held afterwards, and the answer; `None` if the change is refused.
    pub fn step(self, kind: Kind, held: Option<&'static str>) -> Option<(Option<&'static str>, Answer)> {
        Some(match (self, held) {
            (Self::Grant(level), Some(held)) if held == level => (Some(held), Answer::AlreadyExists),
            (Self::Grant(level), Some(held)) => (Some(level), Answer::Replaced(held)),
            (Self::Grant(level), None) => (Some(level), Answer::Done),
            (Self::Revoke(level), Some(held)) if held == level => match (kind, level) {
                (Kind::Organization, "admin") => (Some("member"), Answer::Done),
                (Kind::Organization, _) => return None,
                _ => (None, Answer::Done),
            },
            (Self::Revoke(_), held) => (held, Answer::AlreadyRevoked),
        })
    }
}

/// Every change that writes something, with the state before it.
pub fn writing_cells(kind: Kind) -> Vec<(Change, Option<&'static str>)> {
    let cells = kind
        .changes()
        .flat_map(|change| kind.states().into_iter().map(move |held| (change, held)));
    cells
        .filter(|(change, held)| change.step(kind, *held).is_some_and(|(after, _)| after != *held))
        .collect()
}
