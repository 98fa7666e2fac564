//! Example resource types for unit tests.

use uuid::Uuid;

use crate::governance::Change;

use super::{Level, Membership, ResourceId, ResourceKind, ResourceTypeInfo};

/// Users that hold levels of [`GROUP`].
pub(crate) static USER: ResourceTypeInfo = ResourceTypeInfo {
    id: "user",
    display_name: "User",
    kind: ResourceKind::User,
    levels: &[],
    change: None,
    list_name: "people",
    ..GROUP
};

/// A type with two levels.
pub(crate) static GROUP: ResourceTypeInfo = ResourceTypeInfo {
    id: "team",
    display_name: "Team",
    description: "A team",
    kind: ResourceKind::Group,
    levels: &LEVELS,
    principal_kinds: &[ResourceKind::User],
    principal_rule: "only a `user` can hold a team role",
    list_name: "teams",
    grants_endpoint: "team members",
    read_scopes: &["read_teams"],
    write_scopes: &["write_teams"],
    change: Some(Change::Membership),
    lifecycle: &[],
    absence: "no longer exists",
    not_found_reason: "TEAM_NOT_FOUND",
    unreachable_reason: "TEAM_UNREACHABLE",
    unavailable_reason: "TEAMS_UNAVAILABLE",
    unavailable_remedy: "enable teams for it",
};

/// A type whose levels groups and users hold.
pub(crate) static OBJECT: ResourceTypeInfo = ResourceTypeInfo {
    id: "cluster",
    kind: ResourceKind::Object,
    principal_kinds: &[ResourceKind::Group, ResourceKind::User],
    principal_rule: "only a `team` or a `user` can maintain a cluster",
    list_name: "clusters",
    ..GROUP
};

/// A type beside users and groups. Its levels are held by groups.
pub(crate) static SUITE: ResourceTypeInfo = ResourceTypeInfo {
    id: "suite",
    display_name: "Test suite",
    description: "A test suite",
    list_name: "suites",
    grants_endpoint: "suite teams",
    ..GROUP
};

static LEVELS: [Level; 2] = [
    Level {
        slug: "member",
        display_name: "Member",
        order: 1,
        describe: str::to_owned,
    },
    Level {
        slug: "maintainer",
        display_name: "Maintainer",
        order: 2,
        describe: str::to_owned,
    },
];

/// The weaker level.
pub(crate) static MEMBER: &Level = &LEVELS[0];

/// The stronger level.
pub(crate) static MAINTAINER: &Level = &LEVELS[1];

pub(crate) fn user(number: u128) -> ResourceId {
    ResourceId {
        resource_type: &USER,
        id: Uuid::from_u128(number),
    }
}

pub(crate) fn group(number: u128) -> ResourceId {
    ResourceId {
        resource_type: &GROUP,
        id: Uuid::from_u128(number),
    }
}

pub(crate) fn membership(number: u128) -> Membership {
    Membership {
        resource: group(number),
        principal: user(number),
    }
}

pub(crate) fn object(number: u128) -> ResourceId {
    ResourceId {
        resource_type: &OBJECT,
        id: Uuid::from_u128(number),
    }
}
