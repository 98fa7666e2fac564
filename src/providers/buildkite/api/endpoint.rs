//! The endpoints in use, each with its method and required scope (reference, section 1).

use std::fmt;

use http::Method;

pub(crate) use super::request::Request;
use super::scope::Scope;

/// An endpoint of the REST API, without the ids of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// The token itself: scopes, expiry, name of the owner.
    AccessToken,
    /// Revokes the token that the request carries.
    RevokeToken,
    /// The owner of the token, with the user id.
    User,
    /// The organization.
    Organization,
    /// The organizations that the token can access.
    Organizations,
    /// The members of the organization.
    OrganizationMembers,
    /// One member of the organization.
    OrganizationMember,
    /// The teams of the organization.
    Teams,
    /// One team.
    Team,
    /// The members of a team.
    Members,
    /// One member of a team.
    Member,
    /// Adds a user to a team.
    AddMember,
    /// Changes the role of a team member.
    ChangeRole,
    /// Removes a user from a team.
    RemoveMember,
    /// What a team holds of a pipeline.
    TeamPipeline,
    /// Gives a team a pipeline.
    AddTeamPipeline,
    /// Changes what a team holds of a pipeline.
    ChangeTeamPipeline,
    /// Takes a pipeline from a team.
    RemoveTeamPipeline,
    /// What a team holds of a test suite.
    TeamSuite,
    /// Gives a team a test suite.
    AddTeamSuite,
    /// Changes what a team holds of a test suite.
    ChangeTeamSuite,
    /// Takes a test suite from a team.
    RemoveTeamSuite,
    /// Makes a user or a team maintain a cluster.
    AddClusterMaintainer,
    /// Removes a maintainer of a cluster.
    RemoveClusterMaintainer,
    /// Changes the role of a member of the organization.
    ChangeOrganizationMember,
    /// Removes a member from the organization.
    RemoveOrganizationMember,
    /// Invites people to the organization.
    Invite,
    /// Revokes a pending invitation.
    RevokeInvitation,
    /// Creates a team.
    CreateTeam,
    /// Changes a team.
    UpdateTeam,
    /// Deletes a team.
    DeleteTeam,
    /// The pipelines of the organization.
    Pipelines,
    /// One pipeline.
    Pipeline,
    /// The test suites of the organization.
    Suites,
    /// One test suite.
    Suite,
    /// The pipelines that a team has access to.
    TeamPipelines,
    /// The test suites that a team has access to.
    TeamSuites,
    /// The package registries of the organization.
    Registries,
    /// One package registry.
    Registry,
    /// The clusters of the organization.
    Clusters,
    /// One cluster.
    Cluster,
    /// The maintainers of a cluster.
    ClusterMaintainers,
    /// The pending invitations to the organization.
    Invitations,
    /// One invitation to the organization, in any state.
    Invitation,
    /// The builds of the organization.
    Builds,
    /// The builds of a pipeline.
    PipelineBuilds,
    /// One build.
    Build,
    /// Starts a build.
    CreateBuild,
    /// Unblocks a job.
    UnblockJob,
    /// One of the paths that callers may read as they are.
    Rest,
    /// The artifacts of a build.
    Artifacts,
    /// The log of a job.
    JobLog,
    /// The agents of the organization.
    Agents,
    /// The audit log of the organization.
    AuditEvents,
}

impl Endpoint {
    /// The name of the endpoint in logs, errors and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AccessToken => "access token",
            Self::RevokeToken => "revoke access token",
            Self::User => "user",
            Self::Organization => "organization",
            Self::Organizations => "organizations",
            Self::OrganizationMembers => "organization members",
            Self::OrganizationMember => "organization member",
            Self::Teams => "teams",
            Self::Team => "team",
            Self::Members => "team members",
            Self::Member => "team member",
            Self::AddMember => "add team member",
            Self::ChangeRole => "change team member",
            Self::RemoveMember => "remove team member",
            Self::TeamPipeline => "team pipeline",
            Self::AddTeamPipeline => "add team pipeline",
            Self::ChangeTeamPipeline => "change team pipeline",
            Self::RemoveTeamPipeline => "remove team pipeline",
            Self::TeamSuite => "team suite",
            Self::AddTeamSuite => "add team suite",
            Self::ChangeTeamSuite => "change team suite",
            Self::RemoveTeamSuite => "remove team suite",
            Self::AddClusterMaintainer => "add cluster maintainer",
            Self::RemoveClusterMaintainer => "remove cluster maintainer",
            Self::ChangeOrganizationMember => "change organization member",
            Self::RemoveOrganizationMember => "remove organization member",
            Self::Invite => "invite",
            Self::RevokeInvitation => "revoke invitation",
            Self::CreateTeam => "create team",
            Self::UpdateTeam => "update team",
            Self::DeleteTeam => "delete team",
            Self::Pipelines => "pipelines",
            Self::Pipeline => "pipeline",
            Self::Suites => "suites",
            Self::Suite => "suite",
            Self::TeamPipelines => "team pipelines",
            Self::TeamSuites => "team suites",
            Self::Registries => "registries",
            Self::Registry => "registry",
            Self::Clusters => "clusters",
            Self::Cluster => "cluster",
            Self::ClusterMaintainers => "cluster maintainers",
            Self::Invitations => "invitations",
            Self::Invitation => "invitation",
            Self::Builds => "builds",
            Self::PipelineBuilds => "pipeline builds",
            Self::Build => "build",
            Self::CreateBuild => "create build",
            Self::UnblockJob => "unblock job",
            Self::Rest => "rest read",
            Self::Artifacts => "artifacts",
            Self::JobLog => "job log",
            Self::Agents => "agents",
            Self::AuditEvents => "audit events",
        }
    }

    /// The scope without which Buildkite responds with 403; `None` if no scope is required.
    #[must_use]
    pub fn scope(self) -> Option<Scope> {
        match self {
            // The path of a read as it is decides.
            Self::AccessToken | Self::RevokeToken | Self::Rest => None,
            Self::User => Some(Scope::ReadUser),
            Self::Organization | Self::Organizations | Self::OrganizationMembers | Self::OrganizationMember => {
                Some(Scope::ReadOrganizations)
            }
            Self::Teams
            | Self::Team
            | Self::Members
            | Self::Member
            | Self::TeamPipelines
            | Self::TeamPipeline
            | Self::TeamSuites
            | Self::TeamSuite => Some(Scope::ReadTeams),
            Self::AddMember
            | Self::ChangeRole
            | Self::RemoveMember
            | Self::AddTeamPipeline
            | Self::ChangeTeamPipeline
            | Self::RemoveTeamPipeline
            | Self::AddTeamSuite
            | Self::ChangeTeamSuite
            | Self::RemoveTeamSuite
            | Self::CreateTeam
            | Self::UpdateTeam
            | Self::DeleteTeam => Some(Scope::WriteTeams),
            Self::AddClusterMaintainer | Self::RemoveClusterMaintainer => Some(Scope::WriteClusters),
            Self::ChangeOrganizationMember | Self::RemoveOrganizationMember => Some(Scope::WriteOrganizations),
            Self::Invite | Self::RevokeInvitation => Some(Scope::WriteOrganizationInvitations),
            Self::Pipelines | Self::Pipeline => Some(Scope::ReadPipelines),
            Self::Suites | Self::Suite => Some(Scope::ReadSuites),
            Self::Registries | Self::Registry => Some(Scope::ReadRegistries),
            Self::Clusters | Self::Cluster | Self::ClusterMaintainers => Some(Scope::ReadClusters),
            Self::Invitations | Self::Invitation => Some(Scope::ReadOrganizationInvitations),
            Self::Builds | Self::PipelineBuilds | Self::Build => Some(Scope::ReadBuilds),
            Self::CreateBuild | Self::UnblockJob => Some(Scope::WriteBuilds),
            Self::Artifacts => Some(Scope::ReadArtifacts),
            Self::JobLog => Some(Scope::ReadBuildLogs),
            Self::Agents => Some(Scope::ReadAgents),
            Self::AuditEvents => Some(Scope::ReadAuditEvents),
        }
    }

    /// Whether the request has an effect, so that it must not be retried blindly.
    #[must_use]
    pub fn is_write(self) -> bool {
        !self.method().is_safe()
    }

    pub(crate) fn method(self) -> Method {
        match self {
            Self::AddMember
            | Self::AddTeamPipeline
            | Self::AddTeamSuite
            | Self::AddClusterMaintainer
            | Self::Invite
            | Self::CreateTeam
            | Self::CreateBuild => Method::POST,
            Self::UnblockJob => Method::PUT,
            Self::ChangeRole
            | Self::ChangeTeamPipeline
            | Self::ChangeTeamSuite
            | Self::ChangeOrganizationMember
            | Self::UpdateTeam => Method::PATCH,
            Self::RemoveMember
            | Self::RemoveTeamPipeline
            | Self::RemoveTeamSuite
            | Self::RemoveClusterMaintainer
            | Self::RemoveOrganizationMember
            | Self::RevokeInvitation
            | Self::DeleteTeam
            | Self::RevokeToken => Method::DELETE,
            // The size of the log is enough: its content is never read.
            Self::JobLog => Method::HEAD,
            _ => Method::GET,
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
