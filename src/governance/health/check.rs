//! The checks: one row each. Adding a scope later is adding a row.

use crate::providers::buildkite::{Endpoint, Scope};

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
    /// What is asked to find out.
    pub probe: &'static str,
    /// What does not work without it.
    pub impact: &'static str,
    /// When the check is DEGRADED.
    pub degraded_when: &'static str,
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
        match self {
            Self::Authentication => Row {
                id: "authentication",
                scope: None,
                probe: "GET /v2/access-token",
                impact: "nothing works",
                degraded_when: "the token expires within 7 days (`--token-expiry-warning`)",
                for_writes: false,
            },
            Self::UserIdentity => Row {
                id: "user_identity",
                scope: Some(Scope::ReadUser),
                probe: "GET /v2/user",
                impact: "the token's owner is unknown",
                degraded_when: "",
                for_writes: false,
            },
            Self::OrganizationAccess => Row {
                id: "organization_access",
                scope: Some(Scope::ReadOrganizations),
                probe: "GET /v2/organizations/{slug}",
                impact: "the organization is out of reach",
                degraded_when: "",
                for_writes: false,
            },
            Self::OrganizationMemberListing => Row {
                id: "organization_member_listing",
                scope: Some(Scope::ReadOrganizations),
                probe: "GET /v2/organizations/{slug}/members",
                impact: "no users and no e-mails are listed",
                degraded_when: "",
                for_writes: false,
            },
            Self::TeamListing => Row {
                id: "team_listing",
                scope: Some(Scope::ReadTeams),
                probe: "GET /v2/organizations/{slug}/teams",
                impact: "no team is synced",
                degraded_when: "the token's owner is no organization admin, and `--partial-visibility allow` is set",
                for_writes: false,
            },
            Self::TeamMembershipManagement => Row {
                id: "team_membership_management",
                scope: Some(Scope::WriteTeams),
                probe: "none: the token's scopes and the owner's role tell",
                impact: "no grant or revoke is carried out",
                degraded_when: "the token's owner is no organization admin, or a protected name leads to nothing any more",
                for_writes: true,
            },
        }
    }

    /// The check that an answer of `endpoint` is evidence for.
    #[must_use]
    pub fn for_endpoint(endpoint: Endpoint) -> Self {
        match endpoint {
            Endpoint::AccessToken | Endpoint::RevokeToken => Self::Authentication,
            Endpoint::User => Self::UserIdentity,
            Endpoint::Organization | Endpoint::Organizations => Self::OrganizationAccess,
            Endpoint::OrganizationMembers | Endpoint::OrganizationMember => Self::OrganizationMemberListing,
            Endpoint::Teams | Endpoint::Team | Endpoint::Members | Endpoint::Member => Self::TeamListing,
            Endpoint::AddMember | Endpoint::ChangeRole | Endpoint::RemoveMember => Self::TeamMembershipManagement,
        }
    }

    /// What is asked to find out; of what is never asked for itself, what it is derived from.
    pub(crate) fn probed(self) -> Endpoint {
        match self {
            Self::Authentication | Self::TeamMembershipManagement => Endpoint::AccessToken,
            Self::UserIdentity => Endpoint::User,
            Self::OrganizationAccess => Endpoint::Organization,
            Self::OrganizationMemberListing => Endpoint::OrganizationMembers,
            Self::TeamListing => Endpoint::Teams,
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
    /// Works with a limitation.
    Degraded,
    /// Could not be found out: never called unhealthy.
    Unknown,
    /// Does not work.
    Unhealthy,
}

impl State {
    /// Every state, the best first.
    pub const ALL: [Self; 5] = [
        Self::NotRequired,
        Self::Healthy,
        Self::Degraded,
        Self::Unknown,
        Self::Unhealthy,
    ];

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
    pub fn is_operational(self) -> bool {
        matches!(self, Self::NotRequired | Self::Healthy | Self::Degraded)
    }
}
