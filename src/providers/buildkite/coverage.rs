//! What two settings, `--include` and `--allow`, mean for Buildkite, in one place: the scopes that are required, and so the checks
//! of health, their probes, and the scopes that the link to a new token selects. `--require` adds scopes of other integrations.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::governance::{AllowedChanges, Change};

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

/// A change that is allowed although no type that it changes is included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{change} needs {} in --include or BUILDKITE_CONNECTOR_INCLUDE",
    names(types_of(*.change))
)]
pub struct CoverageError {
    change: Change,
}

/// What the connector covers: the included types, the allowed changes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Coverage {
    included: BTreeSet<IncludedType>,
    allowed: AllowedChanges,
}

impl Coverage {
    /// Covers users, teams and `included`, makes the changes that are `allowed`.
    ///
    /// # Errors
    /// When a change is allowed and none of the types that it changes is included.
    pub fn new(
        included: impl IntoIterator<Item = IncludedType>,
        allowed: AllowedChanges,
    ) -> Result<Self, CoverageError> {
        let included: BTreeSet<IncludedType> = included.into_iter().collect();
        let is_missing = |change: &Change| {
            let types = types_of(*change);
            !types.is_empty() && !types.iter().any(|changed| included.contains(changed))
        };
        if let Some(change) = allowed.iter().find(is_missing) {
            return Err(CoverageError { change });
        }
        Ok(Self { included, allowed })
    }

    /// Whether the resources of this type are governed.
    #[must_use]
    pub fn includes(&self, included: IncludedType) -> bool {
        self.included.contains(&included)
    }

    /// The included types, each once, in the order of [`IncludedType::ALL`].
    pub fn included(&self) -> impl Iterator<Item = IncludedType> {
        self.included.iter().copied()
    }

    /// The changes that are made.
    #[must_use]
    pub fn allowed(&self) -> &AllowedChanges {
        &self.allowed
    }
}

/// The types of which a change needs at least one.
fn types_of(change: Change) -> &'static [IncludedType] {
    match change {
        Change::Access => &[IncludedType::Pipeline, IncludedType::Suite, IncludedType::Cluster],
        Change::OrganizationRoles => &[IncludedType::Organization],
        Change::Invitations => &[IncludedType::Invitation],
        Change::Builds => &[IncludedType::Pipeline],
        Change::Membership | Change::OffBoarding | Change::Teams | Change::RestRead => &[],
    }
}

fn names(types: &[IncludedType]) -> String {
    match types {
        [one] => one.to_string(),
        several => {
            let names: Vec<&str> = several.iter().map(|included| included.as_str()).collect();
            format!("one of {}", names.join(", "))
        }
    }
}
