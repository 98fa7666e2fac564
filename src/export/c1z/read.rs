//! Reads the newest finished full run of a file.

use std::path::Path;

use prost::Message;
use rusqlite::{Connection, OpenFlags};
use tempfile::TempPath;

use super::{envelope, runs};
use crate::export::ExportError;
use crate::export::diff::Snapshot;
use crate::proto::c1::connector::v2::Resource;

/// Adds the grants of the newest finished full run, and the names of its resources, to `snapshot`.
///
/// # Errors
/// `Refused` if the file cannot be read, or contains no such run.
pub(in crate::export) fn read(path: &Path, snapshot: &mut Snapshot<'_>) -> Result<(), ExportError> {
    let (database, _scratch) = unpacked(path)?;
    let run = run(path, &database)?;
    resources(&database, &run, snapshot)
        .and_then(|()| grants(&database, &run, snapshot))
        .map_err(|error| unreadable(path, &error))
}

/// The database of the c1z at `path`, and the file that holds it meanwhile.
pub(super) fn unpacked(path: &Path) -> Result<(Connection, TempPath), ExportError> {
    let scratch = tempfile::NamedTempFile::new().map_err(|error| ExportError::write(&std::env::temp_dir(), error))?;
    let (mut file, name) = scratch.into_parts();
    if envelope::unpack(path, &mut file)?.is_none() {
        return Err(ExportError::refused(path, "is empty or does not exist"));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let database = Connection::open_with_flags(&name, flags).map_err(|error| unreadable(path, &error))?;
    Ok((database, name))
}

/// The run that the file is read for: the newest finished full one.
pub(super) fn run(path: &Path, database: &Connection) -> Result<String, ExportError> {
    runs::newest_full(database)
        .map_err(|error| unreadable(path, &error))?
        .ok_or_else(|| ExportError::refused(path, "holds no full sync that was finished"))
}

pub(super) fn unreadable(path: &Path, error: &rusqlite::Error) -> ExportError {
    ExportError::refused(path, format!("cannot be read: {error}"))
}

fn resources(database: &Connection, run: &str, snapshot: &mut Snapshot<'_>) -> rusqlite::Result<()> {
    let mut rows = database.prepare("select data from v1_resources where sync_id = ?1")?;
    let mut rows = rows.query([run])?;
    while let Some(row) = rows.next()? {
        let data = row.get_ref(0)?.as_blob()?;
        let resource = Resource::decode(data)
            .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Blob, error.into()))?;
        snapshot.resource(&resource);
    }
    Ok(())
}

fn grants(database: &Connection, run: &str, snapshot: &mut Snapshot<'_>) -> rusqlite::Result<()> {
    let mut rows = database.prepare(
        "select entitlement_id, principal_resource_type_id, principal_resource_id from v1_grants where sync_id = ?1",
    )?;
    let mut rows = rows.query([run])?;
    while let Some(row) = rows.next()? {
        let text = |column| Ok::<_, rusqlite::Error>(row.get_ref(column)?.as_str()?);
        snapshot.grant(text(0)?, text(1)?, text(2)?);
    }
    Ok(())
}
