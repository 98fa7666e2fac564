//! The lists of the included types, each as something that can be set up, read by a platform and held against the truth.

use std::collections::BTreeSet;

use buildkite_connector::providers::buildkite::IncludedType;
use buildkite_connector::sandbox::{
    Cluster, Endpoint, Invitation, Maintainer, Organization, Person, Pipeline, Registry, Sandbox, Suite, TokenSpec,
};
use jiff::Timestamp;
use secrecy::SecretString;
use tonic::Status;
use uuid::Uuid;

use super::platform::{Platform, id_of, resource};
use super::server::{Setup, TestServer};

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectList {
    Pipelines,
    Suites,
    Registries,
    Clusters,
    /// The maintainers of the first cluster.
    Maintainers,
    /// The people, as those who hold a role in the organization.
    Roles,
    Invitations,
}

impl ObjectList {
    /// Those that are read in windows.
    pub const IN_WINDOWS: [Self; 6] = [
        Self::Pipelines,
        Self::Suites,
        Self::Registries,
        Self::Clusters,
        Self::Maintainers,
        Self::Roles,
    ];

    /// Those of resources.
    pub const OF_RESOURCES: [Self; 5] = [
        Self::Pipelines,
        Self::Suites,
        Self::Registries,
        Self::Clusters,
        Self::Invitations,
    ];

    /// The id of the type.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Pipelines => "pipeline",
            Self::Suites => "suite",
            Self::Registries => "registry",
            Self::Clusters | Self::Maintainers => "cluster",
            Self::Roles => "organization",
            Self::Invitations => "invitation",
        }
    }

    /// Where Buildkite serves the list.
    pub fn endpoint(self) -> Endpoint {
        match self {
            Self::Pipelines => Endpoint::Pipelines,
            Self::Suites => Endpoint::Suites,
            Self::Registries => Endpoint::Registries,
            Self::Clusters => Endpoint::Clusters,
            Self::Maintainers => Endpoint::ClusterMaintainers,
            Self::Roles => Endpoint::OrganizationMembers,
            Self::Invitations => Endpoint::Invitations,
        }
    }

    /// The reason of a list that answers 404.
    pub fn hidden(self) -> &'static str {
        match self {
            Self::Maintainers => "RESOURCE_UNREACHABLE",
            Self::Roles => "TEAMS_UNAVAILABLE",
            _ => "RESOURCES_UNAVAILABLE",
        }
    }

    /// Gives the list `rows` rows.
    pub fn fill(self, sandbox: &Sandbox, rows: usize) {
        sandbox.edit(|organization| match self {
            Self::Roles => {
                for number in organization.people().len()..rows {
                    organization.add_person(Person::new("Ada", &format!("ada-{number}@sized.example")));
                }
            }
            Self::Maintainers => {
                let cluster = organization.add_cluster(Cluster::new("Default"));
                let cluster = organization.cluster_mut(cluster).unwrap();
                for _ in 0..rows {
                    let user = Maintainer::User(Uuid::new_v4());
                    cluster.add_maintainer(Uuid::new_v4(), user, Timestamp::now());
                }
            }
            _ => (0..rows).for_each(|number| {
                self.add(organization, &format!("row-{number}"));
            }),
        });
    }

    /// Adds one resource of the type. Returns its id.
    pub fn add(self, organization: &mut Organization, name: &str) -> Uuid {
        match self {
            Self::Pipelines => organization.add_pipeline(Pipeline::new(name, name)),
            Self::Suites => organization.add_suite(Suite::new(name, name)),
            Self::Registries => organization.add_registry(Registry::new(name, name, "docker")),
            Self::Clusters | Self::Maintainers => organization.add_cluster(Cluster::new(name)),
            Self::Roles => organization.add_person(Person::new(name, &format!("{name}@sized.example"))),
            Self::Invitations => organization.add_invitation(Invitation::new(&format!("{name}@sized.example"))),
        }
    }

    /// Removes one resource of the type.
    pub fn remove(self, organization: &mut Organization, id: Uuid) {
        match self {
            Self::Pipelines => drop(organization.remove_pipeline(id)),
            Self::Suites => drop(organization.remove_suite(id)),
            Self::Registries => drop(organization.remove_registry(id)),
            Self::Clusters | Self::Maintainers => drop(organization.remove_cluster(id)),
            Self::Invitations => assert!(organization.expire_invitation(id)),
            Self::Roles => panic!("people are not removed here"),
        }
    }

    /// The ids of its rows as they are now.
    pub fn truth(self, sandbox: &Sandbox) -> BTreeSet<Uuid> {
        sandbox.with_organization(|organization| match self {
            Self::Pipelines => organization.pipelines().iter().map(|row| row.id).collect(),
            Self::Suites => organization.suites().iter().map(|row| row.id).collect(),
            Self::Registries => organization.registries().iter().map(|row| row.id).collect(),
            Self::Clusters => organization.clusters().iter().map(|row| row.id).collect(),
            Self::Roles => organization.people().iter().map(|row| row.id).collect(),
            Self::Maintainers => {
                let rows = organization.clusters().first().unwrap().maintainers().iter();
                let id = |maintainer| match maintainer {
                    Maintainer::User(id) | Maintainer::Team(id) => id,
                };
                rows.map(|row| id(row.maintainer)).collect()
            }
            Self::Invitations => {
                let pending = organization.invitations().iter().filter(|row| row.is_pending());
                pending.map(|row| row.id).collect()
            }
        })
    }

    /// The resource whose grants are the list; `None` for a list of resources.
    fn holder(self, sandbox: &Sandbox) -> Option<Uuid> {
        match self {
            Self::Maintainers => sandbox.with_organization(|organization| Some(organization.clusters().first()?.id)),
            Self::Roles => Some(sandbox.with_organization(|organization| organization.id)),
            _ => None,
        }
    }

    /// Reads it as a platform does, from the first page to the last.
    pub async fn read(self, platform: &Platform, sandbox: &Sandbox) -> Result<BTreeSet<Uuid>, Status> {
        let ids: Vec<String> = match self.holder(sandbox) {
            Some(holder) => {
                let grants = platform.grants(&resource(self.kind(), &holder.to_string())).await?;
                let principals = grants.iter().map(|grant| id_of(grant.principal.as_ref().unwrap()));
                principals.collect()
            }
            None => platform.resources(self.kind()).await?.iter().map(id_of).collect(),
        };
        Ok(ids.iter().map(|id| id.parse().unwrap()).collect())
    }
}

/// Settings that include every type.
pub fn including_all() -> Setup {
    Setup {
        include: IncludedType::ALL.to_vec(),
        ..Setup::default()
    }
}

/// A token of the owner with every scope.
pub fn all_scopes(sandbox: &Sandbox) -> SecretString {
    sandbox.mint(TokenSpec::owned_by(sandbox.owner()).with_all_scopes())
}

/// A connector on `sandbox` that includes every type, and a platform on it.
pub async fn covering_all(sandbox: &Sandbox) -> (TestServer, Platform) {
    let server = TestServer::with(sandbox, &all_scopes(sandbox), including_all()).await;
    let platform = server.platform().await;
    (server, platform)
}
