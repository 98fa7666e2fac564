//! The endpoints, and their names in `--fault`.

use std::fmt;
use std::str::FromStr;

macro_rules! endpoints {
    ($( $name:literal $variant:ident($request:literal) $($list:ident)?, )*) => {
        /// An endpoint of the API. Requests are counted by endpoint, and faults apply to one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Endpoint {
            $( #[doc = $request] $variant, )*
        }

        impl Endpoint {
            /// Every endpoint and its name in `--fault`.
            pub const ALL: [(Self, &'static str); [$($name),*].len()] = [$((Self::$variant, $name)),*];

            /// Whether its responses are pages of a list.
            pub(super) fn is_list(self) -> bool {
                match self {
                    $( Self::$variant => endpoints!(@ $($list)?), )*
                }
            }
        }
    };
    (@ list) => { true };
    (@) => { false };
}

endpoints! {
    "any" Any("Any endpoint; only used for faults."),
    "root" Root("`GET /`"),
    "oauth-token" OAuthToken("`POST /oauth/token`, which exchanges tokens"),
    "meta" Meta("`GET /v2/meta`"),
    "access-token" AccessToken("`GET /v2/access-token`"),
    "revoke-access-token" RevokeAccessToken("`DELETE /v2/access-token`"),
    "user" User("`GET /v2/user`"),
    "organizations" Organizations("`GET /v2/organizations`") list,
    "organization" Organization("`GET /v2/organizations/{slug}`"),
    "rate-limit" RateLimit("`GET …/rate_limit`"),
    "teams" Teams("`GET …/teams`") list,
    "team" Team("`GET …/teams/{team}`"),
    "create-team" CreateTeam("`POST …/teams`"),
    "update-team" UpdateTeam("`PATCH …/teams/{team}`"),
    "delete-team" DeleteTeam("`DELETE …/teams/{team}`"),
    "team-members" TeamMembers("`GET …/teams/{team}/members`") list,
    "team-member" TeamMember("`GET …/teams/{team}/members/{user}`"),
    "add-team-member" AddTeamMember("`POST …/teams/{team}/members`"),
    "change-team-member" ChangeTeamMember("`PATCH …/teams/{team}/members/{user}`"),
    "remove-team-member" RemoveTeamMember("`DELETE …/teams/{team}/members/{user}`"),
    "team-pipelines" TeamPipelines("`GET …/teams/{team}/pipelines`") list,
    "team-pipeline" TeamPipeline("`GET …/teams/{team}/pipelines/{pipeline}`"),
    "add-team-pipeline" AddTeamPipeline("`POST …/teams/{team}/pipelines`"),
    "change-team-pipeline" ChangeTeamPipeline("`PATCH …/teams/{team}/pipelines/{pipeline}`"),
    "remove-team-pipeline" RemoveTeamPipeline("`DELETE …/teams/{team}/pipelines/{pipeline}`"),
    "team-suites" TeamSuites("`GET …/teams/{team}/suites`") list,
    "team-suite" TeamSuite("`GET …/teams/{team}/suites/{suite}`"),
    "add-team-suite" AddTeamSuite("`POST …/teams/{team}/suites`, or `…/suite`"),
    "change-team-suite" ChangeTeamSuite("`PATCH …/teams/{team}/suites/{suite}`"),
    "remove-team-suite" RemoveTeamSuite("`DELETE …/teams/{team}/suites/{suite}`"),
    "organization-members" OrganizationMembers("`GET …/members`") list,
    "organization-member" OrganizationMember("`GET …/members/{user}`"),
    "change-organization-member" ChangeOrganizationMember("`PATCH …/members/{user}`"),
    "remove-organization-member" RemoveOrganizationMember("`DELETE …/members/{user}`"),
    "invitations" Invitations("`GET …/invitations`") list,
    "invitation" Invitation("`GET …/invitations/{invitation}`"),
    "create-invitations" CreateInvitations("`POST …/invitations`"),
    "revoke-invitation" RevokeInvitation("`DELETE …/invitations/{invitation}`"),
    "pipelines" Pipelines("`GET …/pipelines`") list,
    "pipeline" Pipeline("`GET …/pipelines/{slug}`"),
    "suites" Suites("`GET /v2/analytics/organizations/{slug}/suites`") list,
    "suite" Suite("`GET /v2/analytics/organizations/{slug}/suites/{slug}`"),
    "registries" Registries("`GET /v2/packages/organizations/{slug}/registries`") list,
    "registry" Registry("`GET /v2/packages/organizations/{slug}/registries/{slug}`"),
    "clusters" Clusters("`GET …/clusters`") list,
    "cluster" Cluster("`GET …/clusters/{cluster}`"),
    "delete-cluster" DeleteCluster("`DELETE …/clusters/{cluster}`"),
    "cluster-maintainers" ClusterMaintainers("`GET …/clusters/{cluster}/maintainers`") list,
    "cluster-maintainer" ClusterMaintainer("`GET …/clusters/{cluster}/maintainers/{maintainer}`"),
    "add-cluster-maintainer" AddClusterMaintainer("`POST …/clusters/{cluster}/maintainers`"),
    "remove-cluster-maintainer" RemoveClusterMaintainer("`DELETE …/clusters/{cluster}/maintainers/{maintainer}`"),
    "builds" Builds("`GET …/builds`") list,
    "pipeline-builds" PipelineBuilds("`GET …/pipelines/{slug}/builds`") list,
    "build" Build("`GET …/pipelines/{slug}/builds/{number}`"),
    "create-build" CreateBuild("`POST …/pipelines/{slug}/builds`"),
    "artifacts" Artifacts("`GET …/builds/{number}/artifacts`") list,
    "job-log" JobLog("`GET` or `HEAD …/builds/{number}/jobs/{job}/log`"),
    "job-env" JobEnv("`GET …/builds/{number}/jobs/{job}/env`"),
    "unblock-job" UnblockJob("`PUT …/builds/{number}/jobs/{job}/unblock`"),
    "agents" Agents("`GET …/agents`") list,
    "agent" Agent("`GET …/agents/{agent}`"),
    "audit-events" AuditEvents("`GET …/audit_events`") list,
    "audit-event" AuditEvent("`GET …/audit_events/{event}`"),
    "delete-list" DeleteList("`DELETE` of a list, which no correct client sends; 404, and nothing changes"),
    "unknown" Unknown("Anything else."),
}

impl Endpoint {
    pub(super) fn covers(self, other: Self) -> bool {
        self == Self::Any || self == other
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL
            .iter()
            .find(|(endpoint, _)| endpoint == self)
            .map_or("unknown", |(_, name)| name);
        out.write_str(name)
    }
}

/// No endpoint has this name.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` names no endpoint; the endpoints are {names}", names = Endpoint::ALL.map(|(_, name)| name).join(", "))]
pub struct UnknownEndpoint(String);

impl FromStr for Endpoint {
    type Err = UnknownEndpoint;

    fn from_str(text: &str) -> Result<Self, UnknownEndpoint> {
        Self::ALL
            .into_iter()
            .find_map(|(endpoint, name)| (name == text).then_some(endpoint))
            .ok_or_else(|| UnknownEndpoint(text.to_owned()))
    }
}
