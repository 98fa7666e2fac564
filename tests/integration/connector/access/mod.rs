//! Grants and revokes of levels of pipelines, suites and clusters, and of roles in the organization, over a real channel.

mod ambiguity;
mod audit;
mod decision_table;
mod guards;
mod hidden;
mod model;
mod paths;
mod refusals;

use std::sync::Mutex;

use buildkite_connector::governance::{AllowedChanges, Change as Allowed, GovernanceSettings};
use buildkite_connector::proto::c1::connector::v2::{
    Entitlement, GrantAlreadyExists, GrantAlreadyRevoked, GrantReplaced,
};
use buildkite_connector::providers::buildkite::IncludedType;
use buildkite_connector::sandbox::{
    ALL_SCOPES, Cluster, Endpoint, Maintainer, Organization, OrganizationRole, Pipeline, PipelineLevel, Sandbox, Suite,
    SuiteLevel, TokenSpec,
};
use jiff::Timestamp;
use prost::Name;
use secrecy::SecretString;
use tonic::Status;
use uuid::Uuid;

use crate::support::{Platform, Setup, TestServer, resource, sandbox, sized};
use model::{Answer, Change, Kind};

/// An organization with a pipeline, a suite and a cluster that nobody has access to, a connector on it and a platform that talks to
/// it.
pub struct World {
    pub sandbox: Sandbox,
    pub connector: Mutex<TestServer>,
    pub platform: Platform,
    pub organization: Uuid,
    pub pipeline: Uuid,
    pub suite: Uuid,
    pub cluster: Uuid,
    pub team: Uuid,
    pub other_team: Uuid,
    /// A member of the organization who does not own the token.
    pub user: Uuid,
}

pub use super::provisioning::reason;

pub fn setup() -> Setup {
    Setup {
        access: GovernanceSettings {
            allowed: AllowedChanges::from_iter([Allowed::Membership, Allowed::Access, Allowed::OrganizationRoles]),
            write_timeouts: super::provisioning::write_timeouts(),
            ..GovernanceSettings::default()
        },
        include: vec![
            IncludedType::Organization,
            IncludedType::Pipeline,
            IncludedType::Suite,
            IncludedType::Cluster,
        ],
        ..Setup::default()
    }
}

impl World {
    pub async fn new() -> Self {
        Self::with(setup()).await
    }

    pub async fn with(setup: Setup) -> Self {
        let sandbox = sandbox(sized(4, 0, 8)).await;
        let token = sandbox.mint(TokenSpec::owned_by(sandbox.owner()).with_scopes(&ALL_SCOPES));
        Self::on(sandbox, &token, setup).await
    }

    /// With a token of `sandbox`.
    pub async fn on(sandbox: Sandbox, token: &SecretString, setup: Setup) -> Self {
        let (pipeline, suite, cluster) = sandbox.edit(|organization| {
            (
                organization.add_pipeline(Pipeline::new("deploy", "Deploy")),
                organization.add_suite(Suite::new("checks", "Checks")),
                organization.add_cluster(Cluster::new("linux")),
            )
        });
        let (organization, team, other_team, user) = sandbox.with_organization(|organization| {
            let [team, other, ..] = organization.teams() else {
                panic!("two teams")
            };
            (organization.id, team.id, other.id, organization.people()[1].id)
        });
        let connector = TestServer::with(&sandbox, token, setup).await;
        let platform = connector.platform().await;
        Self {
            sandbox,
            connector: Mutex::new(connector),
            platform,
            organization,
            pipeline,
            suite,
            cluster,
            team,
            other_team,
            user,
        }
    }

    pub fn object(&self, kind: Kind) -> Uuid {
        match kind {
            Kind::Pipeline => self.pipeline,
            Kind::Suite => self.suite,
            Kind::ClusterByTeam | Kind::ClusterByUser => self.cluster,
            Kind::Organization => self.organization,
        }
    }

    pub fn principal(&self, kind: Kind) -> Uuid {
        match kind.principal_type() {
            "team" => self.team,
            _ => self.user,
        }
    }

    pub fn entitlement(&self, kind: Kind, level: &str) -> Entitlement {
        let id = self.object(kind).to_string();
        Entitlement {
            id: format!("{}:{id}:{level}", kind.resource_type()),
            resource: Some(resource(kind.resource_type(), &id)),
            slug: level.to_owned(),
            ..Default::default()
        }
    }

    pub fn grant_id(&self, kind: Kind, level: &str) -> String {
        let principal = self.principal(kind);
        format!(
            "{}:{}:{principal}",
            self.entitlement(kind, level).id,
            kind.principal_type()
        )
    }

    /// What Buildkite has.
    pub fn held(&self, kind: Kind) -> Option<&'static str> {
        self.sandbox.with_organization(|organization| {
            let team = organization.team(self.team);
            match kind {
                Kind::Pipeline => team?.pipeline_level(self.pipeline).map(|level| match level {
                    PipelineLevel::ReadOnly => "read_only",
                    PipelineLevel::BuildAndRead => "build_and_read",
                    PipelineLevel::ManageBuildAndRead => "manage_build_and_read",
                }),
                Kind::Suite => team?.suite_level(self.suite).map(|level| match level {
                    SuiteLevel::Read => "read",
                    SuiteLevel::Edit => "edit",
                }),
                Kind::ClusterByTeam | Kind::ClusterByUser => {
                    let cluster = organization.cluster(self.cluster)?;
                    cluster.maintainer(self.maintainer(kind)).map(|_| "maintainer")
                }
                Kind::Organization => organization.person(self.user).map(|person| match person.role {
                    OrganizationRole::Admin => "admin",
                    OrganizationRole::Member => "member",
                }),
            }
        })
    }

    fn maintainer(&self, kind: Kind) -> Maintainer {
        match kind.principal_type() {
            "team" => Maintainer::Team(self.team),
            _ => Maintainer::User(self.user),
        }
    }

    /// Changes what Buildkite has behind the connector's back.
    pub fn hold(&self, kind: Kind, held: Option<&'static str>) {
        let set = self.setting(kind, held);
        self.sandbox.edit(set);
    }

    /// The edit that makes the principal hold this.
    pub fn setting(
        &self,
        kind: Kind,
        held: Option<&'static str>,
    ) -> impl Fn(&mut Organization) + Send + Sync + 'static {
        let (pipeline, suite, cluster) = (self.pipeline, self.suite, self.cluster);
        let (team, user, maintainer) = (self.team, self.user, self.maintainer(kind));
        move |organization| {
            let now = Timestamp::now();
            match kind {
                Kind::Pipeline => {
                    let team = organization.team_mut(team).unwrap();
                    match held.map(pipeline_level) {
                        Some(level) => drop(team.set_pipeline(pipeline, level, now)),
                        None => drop(team.remove_pipeline(pipeline)),
                    }
                }
                Kind::Suite => {
                    let team = organization.team_mut(team).unwrap();
                    match held {
                        Some("edit") => drop(team.set_suite(suite, SuiteLevel::Edit, now)),
                        Some(_) => drop(team.set_suite(suite, SuiteLevel::Read, now)),
                        None => drop(team.remove_suite(suite)),
                    }
                }
                Kind::ClusterByTeam | Kind::ClusterByUser => {
                    let cluster = organization.cluster_mut(cluster).unwrap();
                    match held {
                        Some(_) => drop(cluster.add_maintainer(Uuid::new_v4(), maintainer, now)),
                        None => drop(cluster.remove_maintainer(maintainer)),
                    }
                }
                Kind::Organization => {
                    let role = match held {
                        Some("admin") => OrganizationRole::Admin,
                        _ => OrganizationRole::Member,
                    };
                    assert!(organization.set_role(user, role));
                }
            }
        }
    }

    /// Requests a change, and reads the annotations of the answer; the ids that it returns are checked.
    pub async fn perform(&self, kind: Kind, change: Change) -> Result<Answer, Status> {
        let principal = self.principal(kind).to_string();
        let annotations = match change {
            Change::Grant(level) => {
                let entitlement = self.entitlement(kind, level);
                let granted = self
                    .platform
                    .grant_exactly(entitlement, kind.principal_type(), &principal);
                let granted = granted.await?;
                let ids: Vec<&str> = granted.grants.iter().map(|grant| grant.id.as_str()).collect();
                assert_eq!(ids, [self.grant_id(kind, level)]);
                granted.annotations
            }
            Change::Revoke(level) => self.revoke(kind, level, &principal).await?,
        };
        assert!(annotations.len() <= 1, "{annotations:?}");
        let Some(annotation) = annotations.first() else {
            return Ok(Answer::Done);
        };
        Ok(if annotation.type_url == GrantAlreadyExists::type_url() {
            Answer::AlreadyExists
        } else if annotation.type_url == GrantAlreadyRevoked::type_url() {
            Answer::AlreadyRevoked
        } else {
            let replaced: GrantReplaced = annotation.to_msg().unwrap();
            let levels = kind.levels().iter().copied();
            let mut replaced_levels = levels.filter(|level| self.grant_id(kind, level) == replaced.replaced_grant_id);
            Answer::Replaced(replaced_levels.next().expect("the id of a grant"))
        })
    }

    /// Revokes a level from this principal; returns the annotations of the answer.
    pub async fn revoke(&self, kind: Kind, level: &str, principal: &str) -> Result<Vec<prost_types::Any>, Status> {
        let entitlement = self.entitlement(kind, level);
        let revoked = self
            .platform
            .revoke_exactly(entitlement, kind.principal_type(), principal);
        Ok(revoked.await?.annotations)
    }

    /// Writes that changed something.
    pub fn applied(&self) -> usize {
        self.sandbox.requests().iter().filter(|request| request.applied).count()
    }

    pub fn count(&self, endpoint: Endpoint) -> u64 {
        self.sandbox.request_log().count(endpoint)
    }
}

fn pipeline_level(slug: &str) -> PipelineLevel {
    match slug {
        "read_only" => PipelineLevel::ReadOnly,
        "build_and_read" => PipelineLevel::BuildAndRead,
        _ => PipelineLevel::ManageBuildAndRead,
    }
}
