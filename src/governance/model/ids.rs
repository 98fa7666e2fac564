//! Ids as platforms store them: parsed once by the [catalog](super::Catalog), and printed in one form.
//!
//! A platform keeps its configuration keyed on these strings, so they are byte-stable: `team:<uuid>:member` for an
//! entitlement and `<entitlement id>:user:<uuid>` for a grant (protocol reference, section 3).

use std::fmt;

use uuid::Uuid;

use super::resource_type::{Level, ResourceTypeInfo};

/// A resource, by its type and the id that the provider gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ResourceId {
    /// The resource type.
    pub resource_type: &'static ResourceTypeInfo,
    /// The provider's id.
    pub id: Uuid,
}

impl fmt::Display for ResourceId {
    /// `team:<uuid>`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.resource_type, self.id)
    }
}

/// A level of a resource, as something that can be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EntitlementId {
    /// The resource.
    pub resource: ResourceId,
    /// The level.
    pub level: &'static Level,
}

impl fmt::Display for EntitlementId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.resource, self.level)
    }
}

/// A principal's level on a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct GrantId {
    /// The entitlement that is held.
    pub entitlement: EntitlementId,
    /// The resource that holds it.
    pub principal: ResourceId,
}

impl fmt::Display for GrantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.entitlement, self.principal)
    }
}

/// A principal and a resource: the pair whose level is read and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Membership {
    /// The resource.
    pub resource: ResourceId,
    /// The principal.
    pub principal: ResourceId,
}

/// The principal of a request: a resource, or an e-mail address that is still to be resolved to a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// A resource by its id.
    Resource(ResourceId),
    /// The one user with this address.
    Email(String),
}
