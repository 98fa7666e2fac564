//! The model: resource types, resources, the levels that a resource offers, and the principals that hold them.

mod catalog;
#[cfg(test)]
pub(crate) mod examples;
mod ids;
mod resource;
mod resource_type;

pub use catalog::Catalog;
pub use ids::{EntitlementId, GrantId, Membership, Principal, ResourceId};
pub use resource::{Grant, Holding, ProfileValue, Resource};
pub use resource_type::{Level, LifecycleOffer, LifecycleOperation, ResourceKind, ResourceTypeInfo};
