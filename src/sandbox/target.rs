//! Maps requests to endpoints. This is the only place that parses paths.

use http::Method;
use uuid::Uuid;

use super::endpoint::Endpoint;

/// The endpoint and ids of a request. An id that is not a UUID becomes `None`, which matches no row.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) endpoint: Endpoint,
    pub(super) organization: Option<String>,
    pub(super) team: Option<Uuid>,
    pub(super) user: Option<Uuid>,
    /// The slug or the UUID of a pipeline, suite, registry, cluster, invitation, agent or audit event.
    pub(super) object: Option<String>,
    /// The number of a build.
    pub(super) number: Option<u64>,
    /// The UUID of what belongs to the object: a cluster's maintainer or a build's job.
    pub(super) part: Option<Uuid>,
}

impl Target {
    pub(super) fn parse(method: &Method, path: &str) -> Self {
        let path = path.strip_prefix('/').unwrap_or(path);
        // Some examples in Buildkite's documentation end collection paths with a slash.
        let path = path.strip_suffix('/').unwrap_or(path);
        let segments: Vec<&str> = path.split('/').collect();
        let method = method.as_str();
        match segments.as_slice() {
            ["v2", "organizations", slug, rest @ ..] => Self::in_organization(method, rest).of(slug),
            ["v2", "analytics", "organizations", slug, rest @ ..] => Self::in_analytics(method, rest).of(slug),
            ["v2", "packages", "organizations", slug, rest @ ..] => Self::in_packages(method, rest).of(slug),
            [""] if method == "GET" => Self::new(Endpoint::Root),
            ["oauth", "token"] if method == "POST" => Self::new(Endpoint::OAuthToken),
            ["v2", "access-token"] if method == "DELETE" => Self::new(Endpoint::RevokeAccessToken),
            ["v2", name] if method == "GET" => Self::new(match *name {
                "meta" => Endpoint::Meta,
                "access-token" => Endpoint::AccessToken,
                "user" => Endpoint::User,
                "organizations" => Endpoint::Organizations,
                _ => Endpoint::Unknown,
            }),
            _ => Self::new(Endpoint::Unknown),
        }
    }

    /// The object's id, if it is a UUID.
    pub(super) fn object_id(&self) -> Option<Uuid> {
        self.object.as_deref().and_then(parse_uuid)
    }

    fn in_organization(method: &str, rest: &[&str]) -> Self {
        match rest {
            ["teams", rest @ ..] => Self::in_teams(method, rest),
            ["members" | "invitations", ..] => Self::in_people(method, rest),
            ["pipelines", slug, "builds", rest @ ..] => Self::in_builds(method, rest).object(slug),
            ["clusters", rest @ ..] => Self::in_clusters(method, rest),
            _ => Self::in_others(method, rest),
        }
    }

    fn in_others(method: &str, rest: &[&str]) -> Self {
        match (method, rest) {
            ("GET", []) => Self::new(Endpoint::Organization),
            ("GET", ["rate_limit"]) => Self::new(Endpoint::RateLimit),
            ("GET", ["pipelines"]) => Self::new(Endpoint::Pipelines),
            ("GET", ["pipelines", slug]) => Self::new(Endpoint::Pipeline).object(slug),
            ("GET", ["builds"]) => Self::new(Endpoint::Builds),
            ("GET", ["agents"]) => Self::new(Endpoint::Agents),
            ("GET", ["agents", agent]) => Self::new(Endpoint::Agent).object(agent),
            ("GET", ["audit_events"]) => Self::new(Endpoint::AuditEvents),
            ("GET", ["audit_events", event]) => Self::new(Endpoint::AuditEvent).object(event),
            ("DELETE", ["pipelines" | "builds" | "agents" | "audit_events"]) => Self::new(Endpoint::DeleteList),
            _ => Self::new(Endpoint::Unknown),
        }
    }

    fn in_teams(method: &str, rest: &[&str]) -> Self {
        match (method, rest) {
            ("GET", []) => Self::new(Endpoint::Teams),
            ("POST", []) => Self::new(Endpoint::CreateTeam),
            ("GET", [team]) => Self::new(Endpoint::Team).team(team),
            ("PATCH", [team]) => Self::new(Endpoint::UpdateTeam).team(team),
            ("DELETE", [team]) => Self::new(Endpoint::DeleteTeam).team(team),
            ("GET", [team, "members"]) => Self::new(Endpoint::TeamMembers).team(team),
            ("POST", [team, "members"]) => Self::new(Endpoint::AddTeamMember).team(team),
            ("GET", [team, "members", user]) => Self::new(Endpoint::TeamMember).team(team).user(user),
            ("PATCH", [team, "members", user]) => Self::new(Endpoint::ChangeTeamMember).team(team).user(user),
            ("DELETE", [team, "members", user]) => Self::new(Endpoint::RemoveTeamMember).team(team).user(user),
            ("GET", [team, "pipelines"]) => Self::new(Endpoint::TeamPipelines).team(team),
            ("POST", [team, "pipelines"]) => Self::new(Endpoint::AddTeamPipeline).team(team),
            ("GET", [team, "pipelines", id]) => Self::new(Endpoint::TeamPipeline).team(team).object(id),
            ("PATCH", [team, "pipelines", id]) => Self::new(Endpoint::ChangeTeamPipeline).team(team).object(id),
            ("DELETE", [team, "pipelines", id]) => Self::new(Endpoint::RemoveTeamPipeline).team(team).object(id),
            ("GET", [team, "suites"]) => Self::new(Endpoint::TeamSuites).team(team),
            ("POST", [team, "suites" | "suite"]) => Self::new(Endpoint::AddTeamSuite).team(team),
            ("GET", [team, "suites", id]) => Self::new(Endpoint::TeamSuite).team(team).object(id),
            ("PATCH", [team, "suites", id]) => Self::new(Endpoint::ChangeTeamSuite).team(team).object(id),
            ("DELETE", [team, "suites", id]) => Self::new(Endpoint::RemoveTeamSuite).team(team).object(id),
            ("DELETE", [] | [_, "members" | "pipelines" | "suites" | "suite"]) => Self::new(Endpoint::DeleteList),
            _ => Self::new(Endpoint::Unknown),
        }
    }

    fn in_people(method: &str, rest: &[&str]) -> Self {
        match (method, rest) {
            ("GET", ["members"]) => Self::new(Endpoint::OrganizationMembers),
            ("GET", ["members", user]) => Self::new(Endpoint::OrganizationMember).user(user),
            ("PATCH", ["members", user]) => Self::new(Endpoint::ChangeOrganizationMember).user(user),
            ("DELETE", ["members", user]) => Self::new(Endpoint::RemoveOrganizationMember).user(user),
            ("GET", ["invitations"]) => Self::new(Endpoint::Invitations),
            ("POST", ["invitations"]) => Self::new(Endpoint::CreateInvitations),
            ("GET", ["invitations", id]) => Self::new(Endpoint::Invitation).object(id),
            ("DELETE", ["invitations", id]) => Self::new(Endpoint::RevokeInvitation).object(id),
            ("DELETE", [_]) => Self::new(Endpoint::DeleteList),
            _ => Self::new(Endpoint::Unknown),
        }
    }

    fn in_clusters(method: &str, rest: &[&str]) -> Self {
        match (method, rest) {
            ("GET", []) => Self::new(Endpoint::Clusters),
            ("GET", [cluster]) => Self::new(Endpoint::Cluster).object(cluster),
            ("DELETE", [cluster]) => Self::new(Endpoint::DeleteCluster).object(cluster),
            ("GET", [cluster, "maintainers"]) => Self::new(Endpoint::ClusterMaintainers).object(cluster),
            ("POST", [cluster, "maintainers"]) => Self::new(Endpoint::AddClusterMaintainer).object(cluster),
            ("GET", [cluster, "maintainers", id]) => Self::new(Endpoint::ClusterMaintainer).object(cluster).part(id),
            ("DELETE", [cluster, "maintainers", id]) => {
                Self::new(Endpoint::RemoveClusterMaintainer).object(cluster).part(id)
            }
            ("DELETE", [] | [_, "maintainers"]) => Self::new(Endpoint::DeleteList),
            _ => Self::new(Endpoint::Unknown),
        }
    }

    fn in_builds(method: &str, rest: &[&str]) -> Self {
        match (method, rest) {
            ("GET", []) => Self::new(Endpoint::PipelineBuilds),
            ("POST", []) => Self::new(Endpoint::CreateBuild),
            ("GET", [number]) => Self::new(Endpoint::Build).number(number),
            ("GET", [number, "artifacts"]) => Self::new(Endpoint::Artifacts).number(number),
            ("GET" | "HEAD", [number, "jobs", job, "log"]) => Self::new(Endpoint::JobLog).number(number).part(job),
            ("GET", [number, "jobs", job, "env"]) => Self::new(Endpoint::JobEnv).number(number).part(job),
            ("PUT", [number, "jobs", job, "unblock"]) => Self::new(Endpoint::UnblockJob).number(number).part(job),
            ("DELETE", [] | [_, "artifacts"]) => Self::new(Endpoint::DeleteList),
            _ => Self::new(Endpoint::Unknown),
        }
    }

    fn in_analytics(method: &str, rest: &[&str]) -> Self {
        match (method, rest) {
            ("GET", ["suites"]) => Self::new(Endpoint::Suites),
            ("GET", ["suites", slug]) => Self::new(Endpoint::Suite).object(slug),
            ("DELETE", ["suites"]) => Self::new(Endpoint::DeleteList),
            _ => Self::new(Endpoint::Unknown),
        }
    }

    fn in_packages(method: &str, rest: &[&str]) -> Self {
        match (method, rest) {
            ("GET", ["registries"]) => Self::new(Endpoint::Registries),
            ("GET", ["registries", slug]) => Self::new(Endpoint::Registry).object(slug),
            ("DELETE", ["registries"]) => Self::new(Endpoint::DeleteList),
            _ => Self::new(Endpoint::Unknown),
        }
    }

    fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            organization: None,
            team: None,
            user: None,
            object: None,
            number: None,
            part: None,
        }
    }

    fn of(mut self, organization: &str) -> Self {
        self.organization = Some(organization.to_owned());
        self
    }

    fn team(mut self, team: &str) -> Self {
        self.team = parse_uuid(team);
        self
    }

    fn user(mut self, user: &str) -> Self {
        self.user = parse_uuid(user);
        self
    }

    fn object(mut self, object: &str) -> Self {
        self.object = Some(object.to_owned());
        self
    }

    fn number(mut self, number: &str) -> Self {
        self.number = number.parse().ok();
        self
    }

    fn part(mut self, part: &str) -> Self {
        self.part = parse_uuid(part);
        self
    }
}

/// Buildkite only accepts the hyphenated form.
pub(super) fn parse_uuid(text: &str) -> Option<Uuid> {
    (text.len() == 36).then(|| Uuid::try_parse(text).ok()).flatten()
}
