//! The resource types that an operator can include (`--include`).

use std::fmt;
use std::str::FromStr;

use super::OwnerRequirement;
use crate::providers::buildkite::Scope;

/// A resource type that is governed only if the operator includes it. Users and teams are always governed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IncludedType {
    /// The organization, with the roles of its members.
    Organization,
    /// Pipelines.
    Pipeline,
    /// Test suites.
    Suite,
    /// Package registries.
    Registry,
    /// Clusters.
    Cluster,
    /// Pending invitations.
    Invitation,
}

impl IncludedType {
    /// All types, in the order of the documentation.
    pub const ALL: [Self; 6] = [
        Self::Organization,
        Self::Pipeline,
        Self::Suite,
        Self::Registry,
        Self::Cluster,
        Self::Invitation,
    ];

    /// The word of the setting, which is the id of the resource type.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Organization => "organization",
            Self::Pipeline => "pipeline",
            Self::Suite => "suite",
            Self::Registry => "registry",
            Self::Cluster => "cluster",
            Self::Invitation => "invitation",
        }
    }

    /// The scope that listing the type needs beside those of users and teams; none for the organization, because the list of users
    /// has the roles.
    pub(super) fn scope(self) -> Option<Scope> {
        match self {
            Self::Organization => None,
            Self::Pipeline => Some(Scope::ReadPipelines),
            Self::Suite => Some(Scope::ReadSuites),
            Self::Registry => Some(Scope::ReadRegistries),
            Self::Cluster => Some(Scope::ReadClusters),
            Self::Invitation => Some(Scope::ReadOrganizationInvitations),
        }
    }

    /// The role without which the list lacks rows.
    pub(super) fn reader(self) -> OwnerRequirement {
        match self {
            Self::Pipeline | Self::Suite | Self::Registry => OwnerRequirement::AdminSeesAll,
            Self::Organization | Self::Cluster | Self::Invitation => OwnerRequirement::Any,
        }
    }
}

impl fmt::Display for IncludedType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no resource type that can be included. Its text says which words do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("give one or more of {}", IncludedType::ALL.map(IncludedType::as_str).join(", "))]
pub struct UnknownType;

impl FromStr for IncludedType {
    type Err = UnknownType;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut all = Self::ALL.into_iter();
        all.find(|included| included.as_str() == text).ok_or(UnknownType)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_included_type_is_parsed_from_its_own_word() {
        for included in IncludedType::ALL {
            assert_eq!(included.to_string().parse(), Ok(included));
        }
        assert_eq!("team".parse::<IncludedType>(), Err(UnknownType));
    }
}
