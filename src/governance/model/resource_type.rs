//! Resource types: what a provider governs, described in static data.

use std::fmt;
use std::hash::{Hash, Hasher};

use crate::governance::{AllowedChanges, Change};

/// What a resource is to the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResourceKind {
    /// A user: a principal that offers no levels.
    User,
    /// A group of users: a principal whose members have what it holds.
    Group,
    /// An object that principals can hold levels of, and that holds none itself.
    Object,
    /// An invited person before they are a user: holds and offers nothing.
    PendingUser,
}

/// What can be done with a resource of a type as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LifecycleOperation {
    /// Inviting a person; by accepting, they become a resource of the type.
    Invite,
    /// Creating a resource.
    Create,
    /// Deleting a resource.
    Delete,
}

/// An operation that a type offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LifecycleOffer {
    /// The operation.
    pub operation: LifecycleOperation,
    /// The kind of change that it is.
    pub change: Change,
    /// The scopes of the credential that it needs.
    pub scopes: &'static [&'static str],
}

/// A resource type: its stable id, its texts, and the levels that each of its resources offers.
///
/// A provider declares each type as a `static`. Two descriptions with the same id are the same type.
#[derive(Debug)]
pub struct ResourceTypeInfo {
    /// The stable id, the first part of every entitlement id of the type.
    pub id: &'static str,
    /// The type's display name.
    pub display_name: &'static str,
    /// What the type stands for.
    pub description: &'static str,
    /// What a resource of the type is to the protocol.
    pub kind: ResourceKind,
    /// The levels that a resource of the type offers, the weakest first. A principal holds at most one of them.
    pub levels: &'static [Level],
    /// The kinds of the principals that can hold a level.
    pub principal_kinds: &'static [ResourceKind],
    /// The message for a principal of another kind.
    pub principal_rule: &'static str,
    /// The name of the type's list in page tokens. Tokens are stored by clients, so it never changes.
    pub list_name: &'static str,
    /// The name of the request that lists the grants of a resource; empty if the type has none.
    pub grants_endpoint: &'static str,
    /// The scopes of the credential that listing the type needs.
    pub read_scopes: &'static [&'static str],
    /// The scopes of the credential that granting and revoking a level needs.
    pub write_scopes: &'static [&'static str],
    /// The kind of change that granting and revoking a level of the type is; `None` if its levels cannot be changed.
    pub change: Option<Change>,
    /// What can be done with resources of the type as a whole.
    pub lifecycle: &'static [LifecycleOffer],
    /// The predicate of the message about a resource that is proven absent; type and id precede it.
    pub absence: &'static str,
    /// The error reason of a resource that is proven absent.
    pub not_found_reason: &'static str,
    /// The error reason of a resource that responds with "not found" and is not proven absent.
    pub unreachable_reason: &'static str,
    /// The error reason of a list that responds with "not found" although the organization is readable.
    pub unavailable_reason: &'static str,
    /// What to do about such a list.
    pub unavailable_remedy: &'static str,
}

impl ResourceTypeInfo {
    /// The level with this slug.
    #[must_use]
    pub fn level(&'static self, slug: &str) -> Option<&'static Level> {
        self.levels.iter().find(|level| level.slug == slug)
    }

    /// The level below `level`; `None` below the weakest.
    #[must_use]
    pub fn level_below(&'static self, level: &Level) -> Option<&'static Level> {
        self.levels.iter().rev().find(|below| below.order < level.order)
    }

    /// Whether granting and revoking levels of the type is allowed.
    #[must_use]
    pub fn is_provisioned(&self, allowed: &AllowedChanges) -> bool {
        self.change.is_some_and(|change| allowed.allows(change))
    }

    /// The kind of change that the operation is; `None` if it is not offered for the type.
    #[must_use]
    pub fn lifecycle_change(&self, operation: LifecycleOperation) -> Option<Change> {
        let mut offers = self.lifecycle.iter();
        offers
            .find(|offer| offer.operation == operation)
            .map(|offer| offer.change)
    }

    /// The operations on resources of the type as a whole that are allowed.
    pub fn allowed_lifecycle(&self, allowed: &AllowedChanges) -> impl Iterator<Item = &'static LifecycleOffer> {
        self.lifecycle.iter().filter(|offer| allowed.allows(offer.change))
    }

    /// Whether resources of the type offer levels, and so have grants.
    #[must_use]
    pub fn has_grants(&self) -> bool {
        !self.levels.is_empty()
    }

    /// Whether the levels of the type never change through this connector: no [`Change`] is about them.
    #[must_use]
    pub fn is_immutable(&self) -> bool {
        self.has_grants() && self.change.is_none()
    }

    /// Whether a grant whose principal is not in the list of principals is reported all the same. A group names its members
    /// itself, so they are added to the list of users. Everywhere else such a principal became known only after that list was
    /// read, and its grants are reported by the next sync.
    #[must_use]
    pub fn reports_unlisted_principals(&self) -> bool {
        self.kind == ResourceKind::Group
    }
}

impl PartialEq for ResourceTypeInfo {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for ResourceTypeInfo {}

impl Hash for ResourceTypeInfo {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

impl fmt::Display for ResourceTypeInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id)
    }
}

/// One of the exclusive levels that a resource offers: the slug of an entitlement, and what it means.
#[derive(Debug)]
pub struct Level {
    /// The last part of the entitlement id, for instance `maintainer`.
    pub slug: &'static str,
    /// The level's display name, for instance `Maintainer`.
    pub display_name: &'static str,
    /// The level's strength among the levels of its type, from 1.
    pub order: u32,
    /// Describes what the level permits, given the name of the resource.
    pub describe: fn(&str) -> String,
}

impl PartialEq for Level {
    fn eq(&self, other: &Self) -> bool {
        self.slug == other.slug
    }
}

impl Eq for Level {}

impl Hash for Level {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.slug.hash(state);
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.slug)
    }
}
