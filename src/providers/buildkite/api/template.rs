//! The paths of requests as templates, for traces: placeholders stand for ids and slugs, which can belong to a person.

use std::borrow::Cow;

use super::access::{AccessRequest, SuitePath};
use super::endpoint::{Endpoint, Request};

impl Request {
    /// The template of the path, as in `/v2/organizations/{organization}/teams/{team}`.
    pub(crate) fn template(&self) -> Cow<'static, str> {
        match self {
            Self::Rest(path) => {
                let root = match path.template() {
                    suites if suites.starts_with("/suites") => "/analytics",
                    registries if registries.starts_with("/registries") => "/packages",
                    _ => "",
                };
                format!("/v2{root}/organizations/{{organization}}{}", path.template()).into()
            }
            Self::Access(AccessRequest::AddTeamSuite(_, SuitePath::Singular)) => {
                "/v2/organizations/{organization}/teams/{team}/suite".into()
            }
            other => other.endpoint().template().into(),
        }
    }
}

impl Endpoint {
    /// The template of the path of every request to the endpoint, except for one that names its path itself.
    fn template(self) -> &'static str {
        match self {
            Self::AccessToken | Self::RevokeToken => "/v2/access-token",
            Self::User => "/v2/user",
            Self::Organizations => "/v2/organizations",
            Self::Organization | Self::Rest => "/v2/organizations/{organization}",
            Self::OrganizationMembers => "/v2/organizations/{organization}/members",
            Self::OrganizationMember | Self::ChangeOrganizationMember | Self::RemoveOrganizationMember => {
                "/v2/organizations/{organization}/members/{user}"
            }
            Self::Teams | Self::CreateTeam => "/v2/organizations/{organization}/teams",
            Self::Team | Self::UpdateTeam | Self::DeleteTeam => "/v2/organizations/{organization}/teams/{team}",
            Self::Members | Self::AddMember => "/v2/organizations/{organization}/teams/{team}/members",
            Self::Member | Self::ChangeRole | Self::RemoveMember => {
                "/v2/organizations/{organization}/teams/{team}/members/{user}"
            }
            Self::TeamPipelines | Self::AddTeamPipeline => "/v2/organizations/{organization}/teams/{team}/pipelines",
            Self::TeamPipeline | Self::ChangeTeamPipeline | Self::RemoveTeamPipeline => {
                "/v2/organizations/{organization}/teams/{team}/pipelines/{pipeline}"
            }
            Self::TeamSuites | Self::AddTeamSuite => "/v2/organizations/{organization}/teams/{team}/suites",
            Self::TeamSuite | Self::ChangeTeamSuite | Self::RemoveTeamSuite => {
                "/v2/organizations/{organization}/teams/{team}/suites/{suite}"
            }
            Self::Clusters => "/v2/organizations/{organization}/clusters",
            Self::Cluster => "/v2/organizations/{organization}/clusters/{cluster}",
            Self::ClusterMaintainers | Self::AddClusterMaintainer => {
                "/v2/organizations/{organization}/clusters/{cluster}/maintainers"
            }
            Self::RemoveClusterMaintainer => {
                "/v2/organizations/{organization}/clusters/{cluster}/maintainers/{maintainer}"
            }
            Self::Invitations | Self::Invite => "/v2/organizations/{organization}/invitations",
            Self::Invitation | Self::RevokeInvitation => "/v2/organizations/{organization}/invitations/{invitation}",
            Self::Pipelines => "/v2/organizations/{organization}/pipelines",
            Self::Pipeline => "/v2/organizations/{organization}/pipelines/{pipeline}",
            Self::Suites => "/v2/analytics/organizations/{organization}/suites",
            Self::Suite => "/v2/analytics/organizations/{organization}/suites/{suite}",
            Self::Registries => "/v2/packages/organizations/{organization}/registries",
            Self::Registry => "/v2/packages/organizations/{organization}/registries/{registry}",
            Self::Builds => "/v2/organizations/{organization}/builds",
            Self::PipelineBuilds | Self::CreateBuild => "/v2/organizations/{organization}/pipelines/{pipeline}/builds",
            Self::Build => "/v2/organizations/{organization}/pipelines/{pipeline}/builds/{number}",
            Self::Artifacts => "/v2/organizations/{organization}/pipelines/{pipeline}/builds/{number}/artifacts",
            Self::JobLog => "/v2/organizations/{organization}/pipelines/{pipeline}/builds/{number}/jobs/{job}/log",
            Self::UnblockJob => {
                "/v2/organizations/{organization}/pipelines/{pipeline}/builds/{number}/jobs/{job}/unblock"
            }
            Self::Agents => "/v2/organizations/{organization}/agents",
            Self::AuditEvents => "/v2/organizations/{organization}/audit_events",
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::providers::buildkite::api::builds::{BuildFilter, BuildRequest};
    use crate::providers::buildkite::api::ids::{
        ClusterId, InvitationId, MaintainerId, ObjectSlug, OrganizationSlug, PipelineId, SuiteId, TeamId, UserId,
    };
    use crate::providers::buildkite::api::rest_path::RestPath;
    use crate::providers::buildkite::api::scope_probe::{BuildReference, ScopeProbe};

    /// Requests to every endpoint.
    fn requests() -> Vec<Request> {
        let id = Uuid::from_u128(7);
        let (team, user, cluster) = (TeamId::from(id), UserId::from(id), ClusterId::from(id));
        let (pipeline, suite, maintainer) = (PipelineId::from(id), SuiteId::from(id), MaintainerId::from(id));
        let invitation = InvitationId::from(id);
        let slug = || ObjectSlug::of("slug").unwrap();
        let build = || BuildReference {
            pipeline: "slug".parse().unwrap(),
            number: 7,
            job: Some(id),
        };
        let mut requests = vec![
            Request::AccessToken,
            Request::RevokeToken,
            Request::User,
            Request::Organization,
            Request::Organizations,
            Request::OrganizationMembers,
            Request::OrganizationMember(user),
            Request::Teams,
            Request::Team(team),
            Request::Members(team),
            Request::Member(team, user),
            Request::AddMember(team),
            Request::ChangeRole(team, user),
            Request::RemoveMember(team, user),
            Request::RemoveOrganizationMember(user),
            Request::Invite,
            Request::RevokeInvitation(invitation),
            Request::CreateTeam,
            Request::DeleteTeam(team),
            Request::UpdateTeam(team),
            Request::Pipelines,
            Request::Pipeline(slug()),
            Request::Suites,
            Request::Suite(slug()),
            Request::TeamPipelines(team),
            Request::TeamSuites(team),
            Request::Registries,
            Request::Registry(slug()),
            Request::Clusters,
            Request::Cluster(cluster),
            Request::ClusterMaintainers(cluster),
            Request::Invitations(None, 100),
            Request::Invitation(invitation),
            Request::Builds(BuildRequest::List(slug(), BuildFilter::RequestKey("key".to_owned()))),
            Request::Builds(BuildRequest::Build(slug(), 7)),
            Request::Builds(BuildRequest::Create(slug())),
            Request::Builds(BuildRequest::Unblock(slug(), 7, id)),
        ];
        let access = [
            AccessRequest::TeamPipeline(team, pipeline),
            AccessRequest::AddTeamPipeline(team),
            AccessRequest::ChangeTeamPipeline(team, pipeline),
            AccessRequest::RemoveTeamPipeline(team, pipeline),
            AccessRequest::TeamSuite(team, suite),
            AccessRequest::AddTeamSuite(team, SuitePath::Documented),
            AccessRequest::AddTeamSuite(team, SuitePath::Singular),
            AccessRequest::ChangeTeamSuite(team, suite),
            AccessRequest::RemoveTeamSuite(team, suite),
            AccessRequest::AddClusterMaintainer(cluster),
            AccessRequest::RemoveClusterMaintainer(cluster, maintainer),
            AccessRequest::ChangeOrganizationMember(user),
            AccessRequest::TeamsOf(user),
        ];
        requests.extend(access.map(Request::Access));
        let probes = [
            ScopeProbe::Pipelines,
            ScopeProbe::Suites,
            ScopeProbe::Registries,
            ScopeProbe::Clusters,
            ScopeProbe::Invitations,
            ScopeProbe::Builds,
            ScopeProbe::Artifacts(build()),
            ScopeProbe::JobLog(build(), id),
            ScopeProbe::Agents,
            ScopeProbe::AuditEvents,
        ];
        requests.extend(probes.map(Request::ScopeProbe));
        let paths = ["/teams", "/suites/slug", "/registries", "/pipelines/slug/builds/7"];
        requests.extend(paths.map(|path| Request::Rest(RestPath::parse(path).unwrap())));
        requests
    }

    #[test]
    fn a_template_is_the_path_with_placeholders_for_everything_of_the_request() {
        let organization: OrganizationSlug = "acme".parse().unwrap();
        let id = Uuid::from_u128(7).to_string();
        for request in requests() {
            let template = request.template();
            let words = template.strip_prefix("/v2/").unwrap().split('/').map(|word| {
                let is_placeholder = word.starts_with('{') && word.ends_with('}');
                (!is_placeholder).then_some(word)
            });
            let path = request.path(&organization);
            let words_of_path = path.iter().map(|segment| {
                let varies = ["acme", "slug", "7", &id].contains(&segment.as_str());
                (!varies).then_some(segment.as_str())
            });
            assert!(words.eq(words_of_path), "{template} is not of {path:?}");
        }
    }
}
