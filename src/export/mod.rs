//! Jobs: a sync of the organization into a file, and the difference between two such files.
//!
//! [`sync`] reads the organization in the order of the Baton SDK's syncer and passes every row to a [`Sink`] as soon as it is
//! known, so memory does not grow with the organization. [`Output`] is a sink that writes a file (`c1z`, `jsonl`, `csv`) or a
//! directory (`json`) which is complete or absent: it is written under a temporary name and renamed at the end (`part`).
//! [`diff`] reads any of them, [`SyncedRows`] finds single rows of a c1z. This module knows neither the command line nor a server.

mod c1z;
mod canonical;
mod counts;
mod csv;
pub mod diff;
mod error;
mod format;
mod json;
mod jsonl;
mod list;
mod names;
mod output;
mod part;
mod plural;
mod progress;
mod sync;
#[cfg(test)]
mod tests;

pub use c1z::SyncedRows;
pub(crate) use canonical::Canonical;
pub use counts::Counts;
pub use csv::{ALL_COLUMNS, COLUMNS, Cells};
pub use error::ExportError;
pub use format::Format;
pub use list::{ListQuery, list};
pub use names::{NamedGrant, ResourceNames};
pub use output::Output;
pub use plural::plural;
pub use progress::{Progress, Stage, Status};
pub use sync::{Reader, RunType, SyncOptions, sync};

use crate::proto::c1::connector::v2::{Entitlement, Grant, Resource, ResourceType};

/// One row of a sync.
#[derive(Debug, Clone, Copy)]
pub enum Row<'a> {
    /// A resource type.
    ResourceType(&'a ResourceType),
    /// A resource, such as a user or a team.
    Resource(&'a Resource),
    /// A level of a resource.
    Entitlement(&'a Entitlement),
    /// A level that a principal holds.
    Grant(&'a Grant),
}

/// Receives the rows of a sync, in its order: resource types, resources, entitlements, grants.
pub trait Sink: Send {
    /// Writes one row.
    ///
    /// # Errors
    /// The failure to write the row, for instance because the disk is full. It ends the sync.
    fn write(&mut self, row: Row<'_>) -> Result<(), ExportError>;
}
