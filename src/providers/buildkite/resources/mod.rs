//! The resource types of Buildkite, one file each: their rows, levels and grants, and how a level is read and written.

mod rows;
mod teams;
mod users;

use std::sync::Arc;

pub use teams::{MAINTAINER, MEMBER, TEAM};
pub use users::USER;

pub(super) use teams::Teams;

use super::Buildkite;
use crate::governance::model::Catalog;
use crate::governance::provider::ResourceType;
use users::Users;

/// Every resource type, principals first. A new type is a file in this folder, and a line here and in [`catalog`].
pub(super) fn all(buildkite: &Arc<Buildkite>) -> Vec<Arc<dyn ResourceType>> {
    vec![
        Arc::new(Users::new(Arc::clone(buildkite))),
        Arc::new(Teams::new(Arc::clone(buildkite))),
    ]
}

/// The resource types, without a connection: ids and options are parsed against them before there is one.
#[must_use]
pub fn catalog() -> Catalog {
    Catalog::new(vec![&USER, &TEAM])
}
