//! The rows of pipelines, suites, registries, clusters and invitations (reference, sections 2.9 and 2.10).
//!
//! As in [`super::types`], only the id is required. Fields that can hold secrets have no place in these types: `env`,
//! `configuration`, `steps` and `provider` of a pipeline, and every URL. They are skipped when a row is decoded.

use serde::{Deserialize, Deserializer};
use uuid::Uuid;

use super::ids::{ClusterId, InvitationId, MaintainerId, PipelineId, RegistryId, SuiteId, TeamId};
use super::repository::Repository;
use super::types::{text, tolerant};

/// A pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Pipeline {
    /// The pipeline.
    pub id: PipelineId,
    /// Display name.
    #[serde(default, deserialize_with = "text")]
    pub name: Option<String>,
    /// The name in REST paths and in the URL of its web page.
    #[serde(default, deserialize_with = "text")]
    pub slug: Option<String>,
    /// Description.
    #[serde(default, deserialize_with = "text")]
    pub description: Option<String>,
    /// `private` or `public`.
    #[serde(default, deserialize_with = "text")]
    pub visibility: Option<String>,
    /// When it was archived as Buildkite wrote it; `None` if it is not archived.
    #[serde(default, deserialize_with = "text")]
    pub archived_at: Option<String>,
    /// The branch that builds are started on if none is named.
    #[serde(default, deserialize_with = "text")]
    pub default_branch: Option<String>,
    /// The repository, without credentials.
    #[serde(default, deserialize_with = "repository")]
    pub repository: Option<Repository>,
    /// Creation time as Buildkite wrote it.
    #[serde(default, deserialize_with = "text")]
    pub created_at: Option<String>,
}

/// A test suite.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Suite {
    /// The suite.
    pub id: SuiteId,
    /// Display name.
    #[serde(default, deserialize_with = "text")]
    pub name: Option<String>,
    /// The name in REST paths and in the URL of its web page.
    #[serde(default, deserialize_with = "text")]
    pub slug: Option<String>,
    /// The branch that results are compared with.
    #[serde(default, deserialize_with = "text")]
    pub default_branch: Option<String>,
    /// Creation time as Buildkite wrote it.
    #[serde(default, deserialize_with = "text")]
    pub created_at: Option<String>,
}

/// A package registry.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Registry {
    /// The registry.
    pub id: RegistryId,
    /// Display name.
    #[serde(default, deserialize_with = "text")]
    pub name: Option<String>,
    /// The name in REST paths and in the URL of its web page.
    #[serde(default, deserialize_with = "text")]
    pub slug: Option<String>,
    /// The kind of its packages, such as `ruby`.
    #[serde(default, deserialize_with = "text")]
    pub ecosystem: Option<String>,
    /// Whether everyone can read it.
    #[serde(default, deserialize_with = "tolerant")]
    pub public: Option<bool>,
    /// The teams that have access; `None` if the row does not list them in the documented form, which is not the same as none.
    #[serde(default, deserialize_with = "tolerant")]
    pub team_ids: Option<Vec<TeamId>>,
}

/// A cluster.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Cluster {
    /// The cluster.
    pub id: ClusterId,
    /// Display name.
    #[serde(default, deserialize_with = "text")]
    pub name: Option<String>,
    /// Description.
    #[serde(default, deserialize_with = "text")]
    pub description: Option<String>,
    /// Creation time as Buildkite wrote it.
    #[serde(default, deserialize_with = "text")]
    pub created_at: Option<String>,
}

/// A maintainer of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ClusterMaintainer {
    /// The row.
    pub id: MaintainerId,
    /// The user or the team; `None` if it is not in the documented form.
    #[serde(default, deserialize_with = "tolerant")]
    pub actor: Option<MaintainerActor>,
}

/// The user or the team that maintains a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct MaintainerActor {
    /// The UUID of the user or of the team.
    pub id: Uuid,
    /// `user` or `team`.
    #[serde(default, rename = "type", deserialize_with = "text")]
    pub kind: Option<String>,
    /// A user's display name.
    #[serde(default, deserialize_with = "text")]
    pub name: Option<String>,
    /// A team's slug.
    #[serde(default, deserialize_with = "text")]
    pub slug: Option<String>,
}

/// An invitation to the organization.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Invitation {
    /// The invitation.
    pub id: InvitationId,
    /// The address that was invited.
    #[serde(default, deserialize_with = "text")]
    pub email: Option<String>,
    /// `pending`, `accepted`, `revoked` or `expired`.
    #[serde(default, deserialize_with = "text")]
    pub state: Option<String>,
    /// The role in the organization that it gives: `admin` or `member`.
    #[serde(default, deserialize_with = "text")]
    pub role: Option<String>,
    /// When it was sent, as Buildkite wrote it.
    #[serde(default, deserialize_with = "text")]
    pub created_at: Option<String>,
    /// Who sent it.
    #[serde(default, deserialize_with = "tolerant")]
    pub created_by: Option<InvitingUser>,
}

/// The user who sent an invitation.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct InvitingUser {
    /// Display name.
    #[serde(default, deserialize_with = "text")]
    pub name: Option<String>,
    /// E-mail address.
    #[serde(default, deserialize_with = "text")]
    pub email: Option<String>,
}

fn repository<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Repository>, D::Error> {
    Ok(text(deserializer)?.and_then(|address| Repository::of(&address)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ID: &str = "0198c3f2-7d5e-4a1b-8c9d-0e1f2a3b4c5d";

    #[test]
    fn nothing_of_a_pipeline_that_can_hold_a_secret_is_kept() {
        let secret = "planted-secret";
        let row = json!({
            "id": ID,
            "name": "Deploy",
            "env": {"AWS_SECRET_ACCESS_KEY": secret},
            "configuration": format!("env:\n  KEY: {secret}"),
            "steps": [{"command": format!("curl -H {secret}"), "env": {"KEY": secret}}],
            "provider": {"webhook_url": format!("https://webhook.buildkite.com/deliver/{secret}")},
            "repository": format!("https://{secret}:{secret}@github.com/acme/deploy.git?token={secret}"),
            "url": format!("https://{secret}@api.buildkite.com/"),
            "web_url": format!("https://{secret}@buildkite.com/"),
        });
        let pipeline: Pipeline = serde_json::from_value(row).unwrap();
        assert!(!format!("{pipeline:?}").contains(secret));
        assert_eq!(pipeline.repository.unwrap().to_string(), "github.com/acme/deploy.git");
    }

    #[test]
    fn a_registry_without_readable_teams_is_not_one_without_teams() {
        let teams = |team_ids: serde_json::Value| {
            let registry: Registry = serde_json::from_value(json!({"id": ID, "team_ids": team_ids})).unwrap();
            registry.team_ids
        };
        assert_eq!(teams(json!([])), Some(vec![]));
        assert_eq!(teams(json!([ID])).map(|teams| teams.len()), Some(1));
        for unreadable in [json!(null), json!("x"), json!([{"id": ID}]), json!(["../x"])] {
            assert_eq!(teams(unreadable), None);
        }
    }

    #[test]
    fn every_row_requires_only_its_id() {
        let odd =
            json!({"id": ID, "name": 1, "slug": [], "actor": "x", "created_by": 7, "public": "yes", "repository": {}});
        assert_eq!(serde_json::from_value::<Pipeline>(odd.clone()).unwrap().slug, None);
        assert_eq!(serde_json::from_value::<Suite>(odd.clone()).unwrap().name, None);
        assert_eq!(serde_json::from_value::<Registry>(odd.clone()).unwrap().public, None);
        assert_eq!(serde_json::from_value::<Cluster>(odd.clone()).unwrap().name, None);
        assert_eq!(
            serde_json::from_value::<ClusterMaintainer>(odd.clone()).unwrap().actor,
            None
        );
        assert_eq!(serde_json::from_value::<Invitation>(odd).unwrap().created_by, None);
        assert!(serde_json::from_value::<Pipeline>(json!({"name": "Deploy"})).is_err());
    }
}
