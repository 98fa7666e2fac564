//! What exists to be governed: two resource types, and two entitlements a team.

use std::num::NonZeroUsize;

use crate::governance::sync::page_token;
use crate::governance::sync::page_token::List;
use crate::governance::{Governance, GovernanceError, Page};
use crate::providers::buildkite::{Role, TeamId};

/// A resource type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ResourceKind {
    /// People: they hold entitlements and offer none.
    User,
    /// Teams: each offers its two roles.
    Team,
}

impl ResourceKind {
    /// Both, in the order in which they are listed: principals first.
    pub const ALL: [Self; 2] = [Self::User, Self::Team];

    /// The stable type id.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Team => "team",
        }
    }

    /// The type's name for people.
    #[must_use]
    pub fn display_name(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::Team => "Team",
        }
    }

    /// What the type stands for.
    #[must_use]
    pub fn description(self) -> &'static str {
        match self {
            Self::User => "A person in the Buildkite organization",
            Self::Team => "A Buildkite team: its members share access to pipelines, test suites and registries",
        }
    }

    /// The type with this id.
    #[must_use]
    pub fn from_id(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.id() == id)
    }
}

/// What people read about one entitlement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntitlementTexts {
    /// For instance `Platform · Maintainer`.
    pub display_name: String,
    /// What somebody gets with it.
    pub description: String,
    /// How strong it is among the roles of its team: the higher number replaces the lower.
    pub order: u32,
}

impl EntitlementTexts {
    /// The texts of a role in the team of this name.
    #[must_use]
    pub fn of(role: Role, team: &str) -> Self {
        match role {
            Role::Member => Self {
                display_name: format!("{team} · Member"),
                description: format!("Has the access that the Buildkite team {team} carries"),
                order: 1,
            },
            Role::Maintainer => Self {
                display_name: format!("{team} · Maintainer"),
                description: format!("Has the access that the Buildkite team {team} carries, and manages who is in it"),
                order: 2,
            },
        }
    }
}

impl Governance {
    /// The resource types, `limit` at most, from `page_token` on.
    ///
    /// # Errors
    /// For a token that was made for another list.
    pub fn resource_kinds(
        &self,
        page_token: &str,
        limit: Option<NonZeroUsize>,
    ) -> Result<Page<ResourceKind>, GovernanceError> {
        let list = List::ResourceTypes;
        let (rows, next) = page_token::part_of(&ResourceKind::ALL, page_token, limit, list, self.organization())?;
        Ok(Page { rows, next })
    }

    /// The roles that a team offers, `limit` at most, from `page_token` on.
    ///
    /// # Errors
    /// For a token that was made for another list.
    pub fn roles(
        &self,
        team: TeamId,
        page_token: &str,
        limit: Option<NonZeroUsize>,
    ) -> Result<Page<Role>, GovernanceError> {
        let list = List::Entitlements(team);
        let (rows, next) = page_token::part_of(&Role::ALL, page_token, limit, list, self.organization())?;
        Ok(Page { rows, next })
    }
}
