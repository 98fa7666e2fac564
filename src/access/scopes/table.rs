//! The checks: one row each. Adding a scope later is adding a row.

use crate::buildkite::{Endpoint, Scope};

/// Something that has to work, and that can be told on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Check {
    /// The token is accepted at all.
    Authentication,
    /// The token's owner is known.
    UserIdentity,
    /// The token reaches the organization.
    OrganizationAccess,
    /// The organization's people can be listed.
    OrganizationMemberListing,
    /// The organization's teams can be listed, all of them.
    TeamListing,
    /// Who is in a team can be changed.
    TeamMembershipManagement,
}

/// A check's row in the table.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The stable id.
    pub id: &'static str,
    /// The scope that it stands for; the token's own record needs none.
    pub scope: Option<Scope>,
    /// What does not work without it.
    pub without: &'static str,
    /// Whether it is needed only while writes are on.
    pub for_writes: bool,
}

impl Check {
    /// Every check, in the order in which they build on each other.
    pub const ALL: [Self; 6] = [
        Self::Authentication,
        Self::UserIdentity,
        Self::OrganizationAccess,
        Self::OrganizationMemberListing,
        Self::TeamListing,
        Self::TeamMembershipManagement,
    ];

    /// The check's row.
    #[must_use]
    pub fn row(self) -> Row {
        let row = |id, scope, without| Row {
            id,
            scope,
            without,
            for_writes: false,
        };
        match self {
            Self::Authentication => row("authentication", None, "nothing works"),
            Self::UserIdentity => row("user_identity", Some(Scope::ReadUser), "the token's owner is unknown"),
            Self::OrganizationAccess => row(
                "organization_access",
                Some(Scope::ReadOrganizations),
                "the organization is out of reach",
            ),
            Self::OrganizationMemberListing => row(
                "organization_member_listing",
                Some(Scope::ReadOrganizations),
                "no users and no e-mails are listed",
            ),
            Self::TeamListing => row("team_listing", Some(Scope::ReadTeams), "no team is synced"),
            Self::TeamMembershipManagement => Row {
                for_writes: true,
                ..row(
                    "team_membership_management",
                    Some(Scope::WriteTeams),
                    "no grant or revoke is carried out",
                )
            },
        }
    }

    /// The check that an answer of `endpoint` is evidence for.
    #[must_use]
    pub fn witnessed_by(endpoint: Endpoint) -> Self {
        match endpoint {
            Endpoint::AccessToken => Self::Authentication,
            Endpoint::User => Self::UserIdentity,
            Endpoint::Organization | Endpoint::Organizations => Self::OrganizationAccess,
            Endpoint::People | Endpoint::Person(_) => Self::OrganizationMemberListing,
            Endpoint::Teams | Endpoint::Team(_) | Endpoint::Members(_) | Endpoint::Member(..) => Self::TeamListing,
            Endpoint::AddMember(_) | Endpoint::ChangeRole(..) | Endpoint::RemoveMember(..) => {
                Self::TeamMembershipManagement
            }
        }
    }

    /// The checks on which a service of the contract depends, by the service's name without its package.
    #[must_use]
    pub fn needed_by(service: &str) -> &'static [Self] {
        match service {
            "ConnectorService" => &[Self::Authentication, Self::OrganizationAccess],
            "ResourcesService" | "ResourceGetterService" => &[Self::OrganizationMemberListing, Self::TeamListing],
            "GrantsService" => &[Self::TeamListing],
            "GrantManagerService" => &[Self::TeamListing, Self::TeamMembershipManagement],
            // Types and entitlements are told without asking Buildkite.
            _ => &[],
        }
    }
}

/// How a check stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Not needed with these settings.
    NotRequired,
    /// Works.
    Healthy,
    /// Works, but.
    Degraded,
    /// Could not be found out: never called unhealthy.
    Unknown,
    /// Does not work.
    Unhealthy,
}

impl State {
    /// The state's name in the wire's enum and in JSON, without prefix.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotRequired => "NOT_REQUIRED",
            Self::Healthy => "HEALTHY",
            Self::Degraded => "DEGRADED",
            Self::Unknown => "UNKNOWN",
            Self::Unhealthy => "UNHEALTHY",
        }
    }

    /// Whether what depends on the check can be used.
    #[must_use]
    pub fn works(self) -> bool {
        matches!(self, Self::NotRequired | Self::Healthy | Self::Degraded)
    }
}
