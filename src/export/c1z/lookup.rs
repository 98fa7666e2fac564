//! Looks single rows of a file up by their ids.

use std::path::{Path, PathBuf};

use prost::Message;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, params};
use tempfile::TempPath;

use super::read;
use crate::export::ExportError;
use crate::proto::c1::connector::v2::{Entitlement, Grant, Resource};

/// The newest finished full run of a c1z, open for looking rows up.
#[derive(Debug)]
pub struct SyncedRows {
    path: PathBuf,
    database: Connection,
    run: String,
    /// Holds the database while it is open.
    _scratch: TempPath,
}

impl SyncedRows {
    /// Opens the c1z at `path`, which is not changed.
    ///
    /// # Errors
    /// Refused where it is no c1z of version 1, or holds no full run that was finished.
    pub fn open(path: &Path) -> Result<Self, ExportError> {
        let (database, scratch) = read::unpacked(path)?;
        let run = read::run(path, &database)?;
        Ok(Self {
            path: path.to_owned(),
            database,
            run,
            _scratch: scratch,
        })
    }

    /// The entitlement with this id; none where the run has none.
    ///
    /// # Errors
    /// Where the file is damaged.
    pub fn entitlement(&self, id: &str) -> Result<Option<Entitlement>, ExportError> {
        self.row("v1_entitlements", id)
    }

    /// The resource of this type with this id; none where the run has none.
    ///
    /// # Errors
    /// Where the file is damaged.
    pub fn resource(&self, resource_type: &str, id: &str) -> Result<Option<Resource>, ExportError> {
        self.row("v1_resources", &format!("{resource_type}:{id}"))
    }

    /// The grant with this id; none where the run has none.
    ///
    /// # Errors
    /// Where the file is damaged.
    pub fn grant(&self, id: &str) -> Result<Option<Grant>, ExportError> {
        self.row("v1_grants", id)
    }

    fn row<M: Message + Default>(&self, table: &'static str, id: &str) -> Result<Option<M>, ExportError> {
        let query = format!("select data from {table} where external_id = ?1 and sync_id = ?2");
        let decoded = |row: &rusqlite::Row<'_>| {
            M::decode(row.get_ref(0)?.as_blob()?)
                .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, Type::Blob, error.into()))
        };
        self.database
            .query_row(&query, params![id, self.run], decoded)
            .optional()
            .map_err(|error| read::unreadable(&self.path, &error))
    }
}
