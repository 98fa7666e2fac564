//! Clusters and their maintainers.

use jiff::Timestamp;
use uuid::Uuid;

use super::indexed_list::{IndexedList, Keyed};
use super::organization::Organization;

/// A cluster.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// The cluster's UUID.
    pub id: Uuid,
    /// Display name.
    pub name: String,
    /// Description, if there is one.
    pub description: Option<String>,
    /// When it was created.
    pub created_at: Timestamp,
    /// Its creator, if known.
    pub created_by: Option<Uuid>,
    pub(super) maintainers: IndexedList<ClusterMaintainer>,
}

/// A person or a team that maintains a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Maintainer {
    /// A person, by the user's UUID.
    User(Uuid),
    /// All members of a team.
    Team(Uuid),
}

/// A row of a cluster's list of maintainers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterMaintainer {
    /// The row's own UUID, which is the one in paths.
    pub id: Uuid,
    /// The maintainer.
    pub maintainer: Maintainer,
    /// When this began.
    pub created_at: Timestamp,
}

impl Cluster {
    /// A cluster with a new id and without maintainers.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            id: Uuid::new_v4(),
            name: name.to_owned(),
            description: None,
            created_at: Timestamp::now(),
            created_by: None,
            maintainers: IndexedList::default(),
        }
    }

    /// The maintainers' rows, oldest first.
    #[must_use]
    pub fn maintainers(&self) -> &[ClusterMaintainer] {
        self.maintainers.as_slice()
    }

    /// One maintainer's row.
    #[must_use]
    pub fn maintainer(&self, maintainer: Maintainer) -> Option<&ClusterMaintainer> {
        self.maintainers().iter().find(|row| row.maintainer == maintainer)
    }

    /// Adds a maintainer with this row id. A maintainer with a row keeps it.
    pub fn add_maintainer(&mut self, id: Uuid, maintainer: Maintainer, now: Timestamp) -> ClusterMaintainer {
        if let Some(row) = self.maintainer(maintainer) {
            return *row;
        }
        let row = ClusterMaintainer {
            id,
            maintainer,
            created_at: now,
        };
        self.maintainers.push(row);
        row
    }

    /// Removes a maintainer.
    pub fn remove_maintainer(&mut self, maintainer: Maintainer) -> Option<ClusterMaintainer> {
        let id = self.maintainer(maintainer)?.id;
        self.maintainers.remove(id)
    }
}

impl Keyed for Cluster {
    fn key(&self) -> Uuid {
        self.id
    }

    fn created_at(&self) -> Timestamp {
        self.created_at
    }
}

impl Keyed for ClusterMaintainer {
    fn key(&self) -> Uuid {
        self.id
    }

    fn created_at(&self) -> Timestamp {
        self.created_at
    }
}

impl Organization {
    /// All clusters, oldest first.
    #[must_use]
    pub fn clusters(&self) -> &[Cluster] {
        self.clusters.as_slice()
    }

    /// One cluster.
    #[must_use]
    pub fn cluster(&self, id: Uuid) -> Option<&Cluster> {
        self.clusters.get(id)
    }

    /// The first cluster with this name.
    #[must_use]
    pub fn cluster_by_name(&self, name: &str) -> Option<&Cluster> {
        self.clusters().iter().find(|cluster| cluster.name == name)
    }

    /// One cluster, mutable.
    pub fn cluster_mut(&mut self, id: Uuid) -> Option<&mut Cluster> {
        self.clusters.get_mut(id)
    }

    /// Adds a cluster, or replaces the cluster with the same id.
    pub fn add_cluster(&mut self, cluster: Cluster) -> Uuid {
        let id = cluster.id;
        self.clusters.push(cluster);
        id
    }

    /// Removes a cluster. The pipelines in it are then in none.
    pub fn remove_cluster(&mut self, id: Uuid) -> Option<Cluster> {
        let cluster = self.clusters.remove(id)?;
        for pipeline in self.pipelines.iter_mut() {
            pipeline.cluster = pipeline.cluster.filter(|of| *of != id);
        }
        Some(cluster)
    }

    /// Removes a maintainer from all clusters.
    pub(super) fn remove_maintainers(&mut self, maintainer: Maintainer) {
        for cluster in self.clusters.iter_mut() {
            cluster.remove_maintainer(maintainer);
        }
    }
}
