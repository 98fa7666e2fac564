//! The checks: one static description each. The six of every configuration are written out; those of single scopes are in
//! [`super::scope_checks`].

use super::scope_checks;
use crate::governance::health::{CheckInfo, Feature};
use crate::providers::buildkite::{Endpoint, Scope};

/// A check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Check {
    /// Buildkite accepts the token.
    Authentication,
    /// The token's owner is known.
    UserIdentity,
    /// The token reaches the organization.
    OrganizationAccess,
    /// The organization's members can be listed.
    OrganizationMemberListing,
    /// All teams of the organization can be listed.
    TeamListing,
    /// Team members can be added, changed and removed.
    TeamMembershipManagement,
    /// Teams can be created, changed and deleted.
    TeamManagement,
    /// The token has a scope, and a request that needs it is answered if there is a harmless one.
    Scope(Scope, RequiredBy),
}

/// Why a scope has a check of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RequiredBy {
    /// An included type or an allowed change needs it.
    Connector,
    /// Other integrations with the same token need it (`--require`).
    Others,
}

impl Check {
    /// The checks of every configuration, in the order in which they depend on each other.
    pub const ALL: [Self; 6] = [
        Self::Authentication,
        Self::UserIdentity,
        Self::OrganizationAccess,
        Self::OrganizationMemberListing,
        Self::TeamListing,
        Self::TeamMembershipManagement,
    ];

    /// The scope that the check stands for; `None` for the token's own record, which requires none.
    #[must_use]
    pub fn scope(self) -> Option<Scope> {
        if let Self::Scope(scope, _) = self {
            return Some(scope);
        }
        self.info().scope?.parse().ok()
    }

    /// The description of the check.
    #[must_use]
    pub fn info(self) -> &'static CheckInfo {
        match self {
            Self::Authentication => &AUTHENTICATION,
            Self::UserIdentity => &USER_IDENTITY,
            Self::OrganizationAccess => &ORGANIZATION_ACCESS,
            Self::OrganizationMemberListing => &ORGANIZATION_MEMBER_LISTING,
            Self::TeamListing => &TEAM_LISTING,
            Self::TeamMembershipManagement => &TEAM_MEMBERSHIP_MANAGEMENT,
            Self::TeamManagement => &TEAM_MANAGEMENT,
            Self::Scope(scope, required_by) => scope_checks::info(scope, required_by),
        }
    }

    /// The check that a response of `endpoint` is evidence for.
    #[must_use]
    pub fn for_endpoint(endpoint: Endpoint) -> Self {
        match endpoint {
            // What is read as it is shows no more than that the token works.
            Endpoint::AccessToken | Endpoint::RevokeToken | Endpoint::Rest => Self::Authentication,
            Endpoint::User => Self::UserIdentity,
            Endpoint::Organization | Endpoint::Organizations => Self::OrganizationAccess,
            Endpoint::OrganizationMembers | Endpoint::OrganizationMember => Self::OrganizationMemberListing,
            Endpoint::Teams
            | Endpoint::Team
            | Endpoint::Members
            | Endpoint::Member
            | Endpoint::TeamPipelines
            | Endpoint::TeamPipeline
            | Endpoint::TeamSuites
            | Endpoint::TeamSuite => Self::TeamListing,
            Endpoint::AddMember | Endpoint::ChangeRole | Endpoint::RemoveMember => Self::TeamMembershipManagement,
            Endpoint::AddTeamPipeline
            | Endpoint::ChangeTeamPipeline
            | Endpoint::RemoveTeamPipeline
            | Endpoint::AddTeamSuite
            | Endpoint::ChangeTeamSuite
            | Endpoint::RemoveTeamSuite => Self::of(Scope::WriteTeams),
            Endpoint::AddClusterMaintainer | Endpoint::RemoveClusterMaintainer => Self::of(Scope::WriteClusters),
            Endpoint::ChangeOrganizationMember | Endpoint::RemoveOrganizationMember => {
                Self::of(Scope::WriteOrganizations)
            }
            Endpoint::Invite | Endpoint::RevokeInvitation => Self::of(Scope::WriteOrganizationInvitations),
            Endpoint::CreateTeam | Endpoint::UpdateTeam | Endpoint::DeleteTeam => Self::TeamManagement,
            Endpoint::Pipelines | Endpoint::Pipeline => Self::of(Scope::ReadPipelines),
            Endpoint::Suites | Endpoint::Suite => Self::of(Scope::ReadSuites),
            Endpoint::Registries | Endpoint::Registry => Self::of(Scope::ReadRegistries),
            Endpoint::Clusters | Endpoint::Cluster | Endpoint::ClusterMaintainers => Self::of(Scope::ReadClusters),
            Endpoint::Invitations | Endpoint::Invitation => Self::of(Scope::ReadOrganizationInvitations),
            Endpoint::Builds | Endpoint::PipelineBuilds | Endpoint::Build => Self::of(Scope::ReadBuilds),
            Endpoint::CreateBuild | Endpoint::UnblockJob => Self::of(Scope::WriteBuilds),
            Endpoint::Artifacts => Self::of(Scope::ReadArtifacts),
            Endpoint::JobLog => Self::of(Scope::ReadBuildLogs),
            Endpoint::Agents => Self::of(Scope::ReadAgents),
            Endpoint::AuditEvents => Self::of(Scope::ReadAuditEvents),
        }
    }

    fn of(scope: Scope) -> Self {
        Self::Scope(scope, RequiredBy::Connector)
    }
}

static AUTHENTICATION: CheckInfo = CheckInfo {
    id: "authentication",
    scope: None,
    probe: "GET /v2/access-token",
    endpoint: Endpoint::AccessToken.name(),
    impact: "nothing works",
    degraded_when: "the token expires within 7 days (`--token-expiry-warning`)",
    for_writes: false,
    for_others: false,
    required_by: &[Feature::Resources, Feature::Grants, Feature::Provisioning],
};

static USER_IDENTITY: CheckInfo = CheckInfo {
    id: "user_identity",
    scope: Some(Scope::ReadUser.as_str()),
    probe: "GET /v2/user",
    endpoint: Endpoint::User.name(),
    impact: "the token's owner is unknown",
    degraded_when: "",
    for_writes: false,
    for_others: false,
    required_by: &[],
};

static ORGANIZATION_ACCESS: CheckInfo = CheckInfo {
    id: "organization_access",
    scope: Some(Scope::ReadOrganizations.as_str()),
    probe: "GET /v2/organizations/{slug}",
    endpoint: Endpoint::Organization.name(),
    impact: "the organization is out of reach",
    degraded_when: "",
    for_writes: false,
    for_others: false,
    required_by: &[Feature::Resources, Feature::Grants, Feature::Provisioning],
};

static ORGANIZATION_MEMBER_LISTING: CheckInfo = CheckInfo {
    id: "organization_member_listing",
    scope: Some(Scope::ReadOrganizations.as_str()),
    probe: "GET /v2/organizations/{slug}/members",
    endpoint: Endpoint::OrganizationMembers.name(),
    impact: "no users and no e-mails are listed",
    degraded_when: "",
    for_writes: false,
    for_others: false,
    required_by: &[Feature::Resources],
};

static TEAM_LISTING: CheckInfo = CheckInfo {
    id: "team_listing",
    scope: Some(Scope::ReadTeams.as_str()),
    probe: "GET /v2/organizations/{slug}/teams",
    endpoint: Endpoint::Teams.name(),
    impact: "no team is synced",
    degraded_when: "the token's owner is not an organization admin, and `--partial-visibility allow` is set",
    for_writes: false,
    for_others: false,
    required_by: &[Feature::Resources, Feature::Grants, Feature::Provisioning],
};

static TEAM_MEMBERSHIP_MANAGEMENT: CheckInfo = CheckInfo {
    id: "team_membership_management",
    scope: Some(Scope::WriteTeams.as_str()),
    probe: "none: the token's scopes and the owner's role tell",
    endpoint: Endpoint::AccessToken.name(),
    impact: "no grant or revoke is carried out",
    degraded_when: "the token's owner is not an organization admin, or a protected name leads to nothing any more",
    for_writes: true,
    for_others: false,
    required_by: &[Feature::Provisioning],
};

static TEAM_MANAGEMENT: CheckInfo = CheckInfo {
    id: "team_management",
    scope: Some(Scope::WriteTeams.as_str()),
    probe: "none: the token's scopes and the owner's role tell",
    endpoint: Endpoint::AccessToken.name(),
    impact: "no team is created, changed or deleted",
    degraded_when: "a protected name leads to nothing any more",
    for_writes: true,
    for_others: false,
    required_by: &[],
};
