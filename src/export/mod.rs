//! Jobs that end: a sync of the organization into a file, and what two such files differ by.
//!
//! [`sync`] reads the organization in the order of the protocol's own syncer and hands every row to a [`Sink`] as soon as it
//! is known, so memory does not grow with the organization. [`Output`] is a sink that leaves a file (`c1z`, `jsonl`, `csv`) or a
//! directory (`json`) that is complete or not there: it is written beside its place and moved there at the end (`place`).
//! [`diff`] reads any of them back, [`SyncedRows`] finds single rows of a c1z. Nothing here knows a command line or a server.

mod c1z;
mod canonical;
mod csv;
pub mod diff;
mod directory;
mod error;
mod format;
mod json;
mod jsonl;
mod list;
mod output;
mod place;
mod progress;
mod sync;

pub use c1z::SyncedRows;
pub(crate) use canonical::Canonical;
pub use csv::{COLUMNS, Cells};
pub use directory::{Directory, Membership};
pub use error::ExportError;
pub use format::Format;
pub use list::{Listed, list};
pub use output::Output;
pub use progress::{Progress, Stage, Status};
pub use sync::{Counts, Reader, RunType, SyncOptions, sync};

use crate::proto::c1::connector::v2::{Entitlement, Grant, Resource, ResourceType};

/// One row of a sync.
#[derive(Debug, Clone, Copy)]
pub enum Row<'a> {
    /// A resource type.
    ResourceType(&'a ResourceType),
    /// A user, a team.
    Resource(&'a Resource),
    /// A role in a team.
    Entitlement(&'a Entitlement),
    /// A user who holds a role.
    Grant(&'a Grant),
}

/// Takes the rows of a sync, in its order: resource types, resources, entitlements, grants.
pub trait Sink: Send {
    /// Takes one row.
    ///
    /// # Errors
    /// Where the row cannot be kept, for instance because the disk is full. The sync ends then.
    fn write(&mut self, row: Row<'_>) -> Result<(), ExportError>;
}
