//! The kinds of changes that an operator can allow (`--allow`).

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// A kind of change. Nothing is changed unless the operator allows its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// Granting and revoking levels of teams.
    Membership,
    /// Granting and revoking levels of pipelines, suites and clusters.
    Access,
    /// Changing people's roles in the organization.
    OrganizationRoles,
    /// Inviting people, and revoking invitations.
    Invitations,
    /// Removing people from the organization.
    OffBoarding,
    /// Creating, changing and deleting teams.
    Teams,
    /// Starting builds and unblocking jobs.
    Builds,
    /// Reading any path of a fixed list of the REST API. It changes nothing, but shows more than the governed resources.
    RestRead,
}

impl Change {
    /// All kinds, in the order of the documentation.
    pub const ALL: [Self; 8] = [
        Self::Membership,
        Self::Access,
        Self::OrganizationRoles,
        Self::Invitations,
        Self::OffBoarding,
        Self::Teams,
        Self::Builds,
        Self::RestRead,
    ];

    /// The word of the setting.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Membership => "membership",
            Self::Access => "access",
            Self::OrganizationRoles => "organization-roles",
            Self::Invitations => "invitations",
            Self::OffBoarding => "off-boarding",
            Self::Teams => "teams",
            Self::Builds => "builds",
            Self::RestRead => "rest-read",
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no kind of change. Its text says which words do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("give one or more of {}", Change::ALL.map(Change::as_str).join(", "))]
pub struct UnknownChange;

impl FromStr for Change {
    type Err = UnknownChange;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut all = Self::ALL.into_iter();
        all.find(|change| change.as_str() == text).ok_or(UnknownChange)
    }
}

/// The kinds of changes that the operator allows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AllowedChanges(BTreeSet<Change>);

impl AllowedChanges {
    /// No change is allowed.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// The set with `change` in addition.
    #[must_use]
    pub fn and(mut self, change: Change) -> Self {
        self.0.insert(change);
        self
    }

    /// Whether `change` is allowed.
    #[must_use]
    pub fn allows(&self, change: Change) -> bool {
        self.0.contains(&change)
    }

    /// Whether nothing is allowed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The kinds that are allowed, each once, in the order of [`Change::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = Change> {
        self.0.iter().copied()
    }
}

impl FromIterator<Change> for AllowedChanges {
    fn from_iter<I: IntoIterator<Item = Change>>(changes: I) -> Self {
        Self(changes.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_parsed_from_its_own_word() {
        for change in Change::ALL {
            assert_eq!(change.to_string().parse(), Ok(change));
        }
        for wrong in ["", "Membership", "off_boarding", "provisioning"] {
            assert_eq!(wrong.parse::<Change>(), Err(UnknownChange), "{wrong:?}");
        }
        assert!(UnknownChange.to_string().ends_with("teams, builds, rest-read"));
    }

    #[test]
    fn a_set_allows_what_it_was_made_from_and_nothing_else() {
        let allowed: AllowedChanges = [Change::Teams, Change::Access, Change::Teams].into_iter().collect();
        assert_eq!(allowed.iter().collect::<Vec<_>>(), [Change::Access, Change::Teams]);
        assert!(allowed.allows(Change::Access) && !allowed.allows(Change::Membership));
        assert!(!allowed.is_empty() && AllowedChanges::none().is_empty());
    }
}
