//! The requests to the endpoints, with their ids: paths and queries (reference, section 1).

use super::access::AccessRequest;
use super::builds::BuildRequest;
use super::endpoint::Endpoint;
use super::ids::{ClusterId, InvitationId, ObjectSlug, OrganizationSlug, TeamId, UserId};
use super::rest_path::RestPath;
use super::scope_probe::ScopeProbe;
use super::server_cursor::ServerCursor;

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
    /// The page after a cursor, or the first one, and its number of rows.
    Invitations(Option<ServerCursor>, u32),
    Invitation(InvitationId),
    ScopeProbe(ScopeProbe),
    UpdateTeam(TeamId),
    Builds(BuildRequest),
    Rest(RestPath),
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
            Self::Invitations(..) => Endpoint::Invitations,
            Self::Invitation(_) => Endpoint::Invitation,
            Self::ScopeProbe(probe) => probe.endpoint(),
            Self::UpdateTeam(_) => Endpoint::UpdateTeam,
            Self::Builds(request) => request.endpoint(),
            Self::Rest(_) => Endpoint::Rest,
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
            Self::Rest(path) => return path.segments(organization),
            Self::Builds(request) => request.path(),
            Self::OrganizationMembers => vec!["members".into()],
            Self::OrganizationMember(user) | Self::RemoveOrganizationMember(user) => {
                vec!["members".into(), user.to_string()]
            }
            Self::Teams | Self::CreateTeam => vec!["teams".into()],
            Self::Team(team) | Self::UpdateTeam(team) | Self::DeleteTeam(team) => {
                vec!["teams".into(), team.to_string()]
            }
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
            Self::Invitations(..) | Self::Invite => vec!["invitations".into()],
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
            Self::Builds(request) => request.query(),
            Self::Invitations(after, per_page) => {
                let after = after.iter().map(|after| ("after", after.to_string()));
                after.chain([("per_page", per_page.to_string())]).collect()
            }
            Self::ScopeProbe(probe) => {
                let fixed = probe.query().iter();
                fixed.map(|(name, value)| (*name, (*value).to_owned())).collect()
            }
            _ => vec![],
        }
    }
}
