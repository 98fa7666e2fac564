//! The requests that read and change who has access: what a team holds of a pipeline or a suite, who maintains a cluster, and the
//! roles in the organization (reference, sections 1.3 and 1.6; second reference, section 4).
//!
//! A DELETE names one row by its UUID, and never a list: Buildkite's documentation prints the path of the cluster itself for the
//! removal of a maintainer, which would delete the cluster.

use serde::{Deserialize, Deserializer};

use super::endpoint::Endpoint;
use super::ids::{ClusterId, MaintainerId, PipelineId, SuiteId, TeamId, UserId};
use super::types::{text, tolerant};

/// A request about access, with its ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum AccessRequest {
    TeamPipeline(TeamId, PipelineId),
    AddTeamPipeline(TeamId),
    ChangeTeamPipeline(TeamId, PipelineId),
    RemoveTeamPipeline(TeamId, PipelineId),
    TeamSuite(TeamId, SuiteId),
    AddTeamSuite(TeamId, SuitePath),
    ChangeTeamSuite(TeamId, SuiteId),
    RemoveTeamSuite(TeamId, SuiteId),
    AddClusterMaintainer(ClusterId),
    RemoveClusterMaintainer(ClusterId, MaintainerId),
    ChangeOrganizationMember(UserId),
    /// The teams that a user is in.
    TeamsOf(UserId),
}

/// The path under which a team is given a suite. The documentation says `suites`, a client of Buildkite's sends `suite`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum SuitePath {
    Documented,
    Singular,
}

impl AccessRequest {
    /// The endpoint that the request is for.
    pub(crate) fn endpoint(self) -> Endpoint {
        match self {
            Self::TeamPipeline(..) => Endpoint::TeamPipeline,
            Self::AddTeamPipeline(_) => Endpoint::AddTeamPipeline,
            Self::ChangeTeamPipeline(..) => Endpoint::ChangeTeamPipeline,
            Self::RemoveTeamPipeline(..) => Endpoint::RemoveTeamPipeline,
            Self::TeamSuite(..) => Endpoint::TeamSuite,
            Self::AddTeamSuite(..) => Endpoint::AddTeamSuite,
            Self::ChangeTeamSuite(..) => Endpoint::ChangeTeamSuite,
            Self::RemoveTeamSuite(..) => Endpoint::RemoveTeamSuite,
            Self::AddClusterMaintainer(_) => Endpoint::AddClusterMaintainer,
            Self::RemoveClusterMaintainer(..) => Endpoint::RemoveClusterMaintainer,
            Self::ChangeOrganizationMember(_) => Endpoint::ChangeOrganizationMember,
            Self::TeamsOf(_) => Endpoint::Teams,
        }
    }

    /// The segments of the path below the organization.
    pub(crate) fn path(self) -> Vec<String> {
        let team = |team: TeamId, list: &str| vec!["teams".to_owned(), team.to_string(), list.to_owned()];
        let maintainers =
            |cluster: ClusterId| vec!["clusters".to_owned(), cluster.to_string(), "maintainers".to_owned()];
        let one = |mut list: Vec<String>, id: String| {
            list.push(id);
            list
        };
        match self {
            Self::AddTeamPipeline(id) => team(id, "pipelines"),
            Self::TeamPipeline(id, pipeline)
            | Self::ChangeTeamPipeline(id, pipeline)
            | Self::RemoveTeamPipeline(id, pipeline) => one(team(id, "pipelines"), pipeline.to_string()),
            Self::AddTeamSuite(id, SuitePath::Documented) => team(id, "suites"),
            Self::AddTeamSuite(id, SuitePath::Singular) => team(id, "suite"),
            Self::TeamSuite(id, suite) | Self::ChangeTeamSuite(id, suite) | Self::RemoveTeamSuite(id, suite) => {
                one(team(id, "suites"), suite.to_string())
            }
            Self::AddClusterMaintainer(cluster) => maintainers(cluster),
            Self::RemoveClusterMaintainer(cluster, maintainer) => one(maintainers(cluster), maintainer.to_string()),
            Self::ChangeOrganizationMember(user) => vec!["members".to_owned(), user.to_string()],
            Self::TeamsOf(_) => vec!["teams".to_owned()],
        }
    }

    /// The parameters of the query.
    pub(crate) fn query(self) -> Vec<(&'static str, String)> {
        match self {
            Self::TeamsOf(user) => vec![("user_id", user.to_string())],
            _ => vec![],
        }
    }
}

/// What a team holds of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TeamPipeline {
    /// The pipeline.
    pub pipeline_id: PipelineId,
    /// The level as Buildkite wrote it.
    #[serde(default, deserialize_with = "text")]
    pub access_level: Option<String>,
    /// When the team was given the pipeline, as Buildkite wrote it.
    #[serde(default, deserialize_with = "text")]
    pub created_at: Option<String>,
}

/// What a team holds of a test suite.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TeamSuite {
    /// The suite.
    pub suite_id: SuiteId,
    /// The permissions as Buildkite wrote them, in no particular order.
    #[serde(default, deserialize_with = "texts")]
    pub access_level: Vec<String>,
    /// When the team was given the suite, as Buildkite wrote it.
    #[serde(default, deserialize_with = "text")]
    pub created_at: Option<String>,
}

/// A list of texts, or one text; empty for anything else.
fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Texts {
        List(Vec<String>),
        One(String),
    }
    Ok(match tolerant::<D, Texts>(deserializer)? {
        Some(Texts::List(texts)) => texts,
        Some(Texts::One(text)) => vec![text],
        None => vec![],
    })
}

#[cfg(test)]
mod tests {
    use http::Method;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    fn every_request() -> [AccessRequest; 13] {
        let id = Uuid::from_u128;
        let (team, user) = (id(1).into(), id(2).into());
        let (pipeline, suite) = (id(3).into(), id(4).into());
        let (cluster, maintainer) = (id(5).into(), id(6).into());
        [
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
        ]
    }

    #[test]
    fn a_delete_names_one_row_of_a_list_and_never_a_list_a_team_or_a_cluster() {
        let deletes = every_request()
            .into_iter()
            .filter(|request| request.endpoint().method() == Method::DELETE);
        let paths: Vec<Vec<String>> = deletes.map(AccessRequest::path).collect();
        assert_eq!(paths.len(), 3);
        for path in paths {
            let [of, owner, list, row] = path.try_into().unwrap();
            assert!(
                matches!(
                    (of.as_str(), list.as_str()),
                    ("teams", "pipelines" | "suites") | ("clusters", "maintainers")
                ),
                "{of}/{owner}/{list}/{row}"
            );
            assert!(owner.parse::<Uuid>().is_ok() && row.parse::<Uuid>().is_ok() && owner != row);
        }
    }

    #[test]
    fn the_permissions_of_a_suite_are_read_in_any_order_and_as_one_text() {
        let read = |level: serde_json::Value| {
            let row = json!({"suite_id": Uuid::nil(), "access_level": level});
            serde_json::from_value::<TeamSuite>(row).unwrap().access_level
        };
        assert_eq!(read(json!(["edit", "read"])), ["edit", "read"]);
        assert_eq!(read(json!("read")), ["read"]);
        for odd in [json!(null), json!({}), json!([1]), json!(7)] {
            assert!(read(odd).is_empty());
        }
        let without: TeamPipeline = serde_json::from_value(json!({"pipeline_id": Uuid::nil()})).unwrap();
        assert_eq!((without.access_level, without.created_at), (None, None));
    }
}
