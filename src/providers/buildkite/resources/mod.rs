//! The resource types of Buildkite, one file each: their rows, levels and grants, and how a level is read and written.

mod carried;
mod clusters;
mod invitations;
mod latest_list;
mod objects;
mod organization;
mod pages;
mod people;
mod pipelines;
mod registries;
mod rows;
mod suites;
mod team_access;
mod team_lifecycle;
mod teams;
mod user_lifecycle;
mod users;
mod write_reply;

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

pub use clusters::{CLUSTER, CLUSTER_MAINTAINER};
pub use invitations::INVITATION;
pub use organization::{ORGANIZATION, ORGANIZATION_ADMIN, ORGANIZATION_MEMBER};
pub use pipelines::PIPELINE;
pub use registries::REGISTRY;
pub use suites::SUITE;
pub use teams::{MAINTAINER, MEMBER, TEAM};
pub use users::USER;

pub(super) use teams::{Teams, resource as team_resource};

use super::{Buildkite, Coverage, Endpoint, IncludedType};
use crate::governance::model::{Catalog, Resource, ResourceTypeInfo};
use crate::governance::provider::ResourceType;
use crate::governance::{CallContext, GovernanceError};
use clusters::Clusters;
use invitations::Invitations;
use organization::Organizations;
use people::People;
use pipelines::Pipelines;
use registries::Registries;
use suites::Suites;
use users::Users;

/// A resource type, and how it is read in an organization.
struct Offer {
    info: &'static ResourceTypeInfo,
    /// What the operator has to include; `None` for the types that are always offered.
    included: Option<IncludedType>,
    open: fn(&Connection) -> Arc<dyn ResourceType>,
}

/// What the types of one organization share.
struct Connection {
    buildkite: Arc<Buildkite>,
    people: Arc<People>,
    /// Whether the people's roles are governed.
    records_people: bool,
    /// How old a list may be in which a single resource is looked up.
    max_age: Duration,
}

/// Every resource type, principals first. A new type is a file in this folder and a row here.
const OFFERS: [Offer; 8] = [
    Offer {
        info: &USER,
        included: None,
        open: |of| {
            let people = of.records_people.then(|| Arc::clone(&of.people));
            Arc::new(Users::new(Arc::clone(&of.buildkite), people))
        },
    },
    Offer {
        info: &TEAM,
        included: None,
        open: |of| Arc::new(Teams::new(Arc::clone(&of.buildkite))),
    },
    Offer {
        info: &ORGANIZATION,
        included: Some(IncludedType::Organization),
        open: |of| Arc::new(Organizations::new(Arc::clone(&of.buildkite), Arc::clone(&of.people))),
    },
    Offer {
        info: &PIPELINE,
        included: Some(IncludedType::Pipeline),
        open: |of| Arc::new(Pipelines::new(Arc::clone(&of.buildkite), of.max_age)),
    },
    Offer {
        info: &SUITE,
        included: Some(IncludedType::Suite),
        open: |of| Arc::new(Suites::new(Arc::clone(&of.buildkite), of.max_age)),
    },
    Offer {
        info: &REGISTRY,
        included: Some(IncludedType::Registry),
        open: |of| Arc::new(Registries::new(Arc::clone(&of.buildkite), of.max_age)),
    },
    Offer {
        info: &CLUSTER,
        included: Some(IncludedType::Cluster),
        open: |of| Arc::new(Clusters::new(Arc::clone(&of.buildkite))),
    },
    Offer {
        info: &INVITATION,
        included: Some(IncludedType::Invitation),
        open: |of| Arc::new(Invitations::new(Arc::clone(&of.buildkite))),
    },
];

fn offered(coverage: &Coverage) -> impl Iterator<Item = Offer> {
    OFFERS
        .into_iter()
        .filter(|offer| offer.included.is_none_or(|included| coverage.includes(included)))
}

/// The resource types that the organization of `buildkite` is covered with. A list in which a single resource is looked up may be
/// `max_age` old.
pub(super) fn all(buildkite: &Arc<Buildkite>, max_age: Duration) -> Vec<Arc<dyn ResourceType>> {
    let coverage = &buildkite.coverage;
    let connection = Connection {
        buildkite: Arc::clone(buildkite),
        people: Arc::new(People::new(max_age)),
        records_people: coverage.includes(IncludedType::Organization),
        max_age,
    };
    offered(coverage).map(|offer| (offer.open)(&connection)).collect()
}

/// The resource types that `coverage` names, without a connection: ids and options are parsed against them before there is one.
#[must_use]
pub fn catalog(coverage: &Coverage) -> Catalog {
    Catalog::new(offered(coverage).map(|offer| offer.info).collect())
}

/// Every resource type that can be covered. Whether one is included is decided later, by the settings.
#[must_use]
pub fn full_catalog() -> Catalog {
    Catalog::new(OFFERS.into_iter().map(|offer| offer.info).collect())
}

/// The type whose list the endpoint returns.
pub(super) fn listed_by(endpoint: Endpoint) -> &'static ResourceTypeInfo {
    match endpoint {
        Endpoint::Teams => &TEAM,
        Endpoint::Pipelines => &PIPELINE,
        Endpoint::Suites => &SUITE,
        Endpoint::Registries => &REGISTRY,
        Endpoint::Clusters => &CLUSTER,
        Endpoint::Invitations => &INVITATION,
        _ => &USER,
    }
}

/// The resource, read now; `None` if it is proven absent.
///
/// # Errors
/// What keeps the resource from being read.
async fn find(resources: &dyn ResourceType, id: Uuid, call: &CallContext) -> Result<Option<Resource>, GovernanceError> {
    match resources.get(id, call).await {
        Ok(resource) => Ok(Some(resource)),
        Err(failure) => match resources.explain(failure, Some(id), call).await {
            GovernanceError::ResourceNotFound { .. } => Ok(None),
            error => Err(error),
        },
    }
}
