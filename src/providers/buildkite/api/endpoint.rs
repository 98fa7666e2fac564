//! The endpoints in use, each with its method and required scope, and the requests to them (reference, section 1).

use std::fmt;

use http::Method;

use super::access::AccessRequest;
use super::ids::{ClusterId, InvitationId, ObjectSlug, OrganizationSlug, TeamId, UserId};
use super::scope::Scope;
use super::scope_probe::ScopeProbe;
use super::server_cursor::ServerCursor;
use crate::providers::buildkite::pagination::Window;

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
            Self::AccessToken | Self::RevokeToken => None,
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
            | Self::DeleteTeam => Some(Scope::WriteTeams),
            Self::AddClusterMaintainer | Self::RemoveClusterMaintainer => Some(Scope::WriteClusters),
            Self::ChangeOrganizationMember | Self::RemoveOrganizationMember => Some(Scope::WriteOrganizations),
            Self::Invite | Self::RevokeInvitation => Some(Scope::WriteOrganizationInvitations),
            Self::Pipelines | Self::Pipeline => Some(Scope::ReadPipelines),
            Self::Suites | Self::Suite => Some(Scope::ReadSuites),
            Self::Registries | Self::Registry => Some(Scope::ReadRegistries),
            Self::Clusters | Self::Cluster | Self::ClusterMaintainers => Some(Scope::ReadClusters),
            Self::Invitations | Self::Invitation => Some(Scope::ReadOrganizationInvitations),
            Self::Builds => Some(Scope::ReadBuilds),
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
            | Self::CreateTeam => Method::POST,
            Self::ChangeRole | Self::ChangeTeamPipeline | Self::ChangeTeamSuite | Self::ChangeOrganizationMember => {
                Method::PATCH
            }
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

/// A request to an endpoint, with its ids.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Request {
    AccessToken,
    RevokeToken,
    User,
    Organization,
    Organizations,
    OrganizationMembers,
    OrganizationMember(UserId),
    Teams,
    Team(TeamId),
    Members(TeamId),
    Member(TeamId, UserId),
    AddMember(TeamId),
    ChangeRole(TeamId, UserId),
    RemoveMember(TeamId, UserId),
    Access(AccessRequest),
    RemoveOrganizationMember(UserId),
    Invite,
    RevokeInvitation(InvitationId),
    CreateTeam,
    DeleteTeam(TeamId),
    Pipelines,
    Pipeline(ObjectSlug),
    Suites,
    Suite(ObjectSlug),
    TeamPipelines(TeamId),
    TeamSuites(TeamId),
    Registries,
    Registry(ObjectSlug),
    Clusters,
    Cluster(ClusterId),
    ClusterMaintainers(ClusterId),
    /// The page after a cursor, or the first one.
    Invitations(Option<ServerCursor>),
    Invitation(InvitationId),
    ScopeProbe(ScopeProbe),
}

impl Request {
    /// The endpoint that the request is for.
    pub(crate) fn endpoint(&self) -> Endpoint {
        match self {
            Self::AccessToken => Endpoint::AccessToken,
            Self::RevokeToken => Endpoint::RevokeToken,
            Self::User => Endpoint::User,
            Self::Organization => Endpoint::Organization,
            Self::Organizations => Endpoint::Organizations,
            Self::OrganizationMembers => Endpoint::OrganizationMembers,
            Self::OrganizationMember(_) => Endpoint::OrganizationMember,
            Self::Teams => Endpoint::Teams,
            Self::Team(_) => Endpoint::Team,
            Self::Members(_) => Endpoint::Members,
            Self::Member(..) => Endpoint::Member,
            Self::AddMember(_) => Endpoint::AddMember,
            Self::ChangeRole(..) => Endpoint::ChangeRole,
            Self::RemoveMember(..) => Endpoint::RemoveMember,
            Self::Access(request) => request.endpoint(),
            Self::RemoveOrganizationMember(_) => Endpoint::RemoveOrganizationMember,
            Self::Invite => Endpoint::Invite,
            Self::RevokeInvitation(_) => Endpoint::RevokeInvitation,
            Self::CreateTeam => Endpoint::CreateTeam,
            Self::DeleteTeam(_) => Endpoint::DeleteTeam,
            Self::Pipelines => Endpoint::Pipelines,
            Self::Pipeline(_) => Endpoint::Pipeline,
            Self::Suites => Endpoint::Suites,
            Self::Suite(_) => Endpoint::Suite,
            Self::TeamPipelines(_) => Endpoint::TeamPipelines,
            Self::TeamSuites(_) => Endpoint::TeamSuites,
            Self::Registries => Endpoint::Registries,
            Self::Registry(_) => Endpoint::Registry,
            Self::Clusters => Endpoint::Clusters,
            Self::Cluster(_) => Endpoint::Cluster,
            Self::ClusterMaintainers(_) => Endpoint::ClusterMaintainers,
            Self::Invitations(_) => Endpoint::Invitations,
            Self::Invitation(_) => Endpoint::Invitation,
            Self::ScopeProbe(probe) => probe.endpoint(),
        }
    }

    /// The segments of the path below `/v2`.
    pub(crate) fn path(&self, organization: &OrganizationSlug) -> Vec<String> {
        let below: Vec<String> = match self {
            Self::AccessToken | Self::RevokeToken => return vec!["access-token".into()],
            Self::User => return vec!["user".into()],
            Self::Organizations => return vec!["organizations".into()],
            Self::Organization => vec![],
            Self::ScopeProbe(probe) => return probe.path(organization),
            Self::OrganizationMembers => vec!["members".into()],
            Self::OrganizationMember(user) | Self::RemoveOrganizationMember(user) => {
                vec!["members".into(), user.to_string()]
            }
            Self::Teams | Self::CreateTeam => vec!["teams".into()],
            Self::Team(team) | Self::DeleteTeam(team) => vec!["teams".into(), team.to_string()],
            Self::Members(team) | Self::AddMember(team) => vec!["teams".into(), team.to_string(), "members".into()],
            Self::Member(team, user) | Self::ChangeRole(team, user) | Self::RemoveMember(team, user) => {
                vec!["teams".into(), team.to_string(), "members".into(), user.to_string()]
            }
            Self::Access(request) => request.path(),
            Self::Pipelines => vec!["pipelines".into()],
            Self::Pipeline(slug) => vec!["pipelines".into(), slug.to_string()],
            Self::Suites => vec!["suites".into()],
            Self::Suite(slug) => vec!["suites".into(), slug.to_string()],
            Self::TeamPipelines(team) => vec!["teams".into(), team.to_string(), "pipelines".into()],
            Self::TeamSuites(team) => vec!["teams".into(), team.to_string(), "suites".into()],
            Self::Registries => vec!["registries".into()],
            Self::Registry(slug) => vec!["registries".into(), slug.to_string()],
            Self::Clusters => vec!["clusters".into()],
            Self::Cluster(cluster) => vec!["clusters".into(), cluster.to_string()],
            Self::ClusterMaintainers(cluster) => vec!["clusters".into(), cluster.to_string(), "maintainers".into()],
            Self::Invitations(_) | Self::Invite => vec!["invitations".into()],
            Self::Invitation(invitation) | Self::RevokeInvitation(invitation) => {
                vec!["invitations".into(), invitation.to_string()]
            }
        };
        // Test Engine and Package Registries have roots of their own.
        let root = match self {
            Self::Suites | Self::Suite(_) => Some("analytics"),
            Self::Registries | Self::Registry(_) => Some("packages"),
            _ => None,
        };
        let root = root.into_iter().chain(["organizations"]).map(str::to_owned);
        root.chain([organization.to_string()]).chain(below).collect()
    }

    /// The parameters of the query, other than those of a window.
    pub(crate) fn query(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Access(request) => request.query(),
            Self::Invitations(after) => {
                let after = after.iter().map(|after| ("after", after.to_string()));
                after.chain([("per_page", Window::LARGEST.to_string())]).collect()
            }
            Self::ScopeProbe(probe) => {
                let fixed = probe.query().iter();
                fixed.map(|(name, value)| (*name, (*value).to_owned())).collect()
            }
            _ => vec![],
        }
    }
}
