//! Reads the newest finished full run of a file.

use std::path::Path;

use prost::Message;
use rusqlite::{Connection, OpenFlags};

use super::super::ExportError;
use super::super::diff::Snapshot;
use super::{envelope, runs};
use crate::proto::c1::connector::v2::Resource;

/// Adds the grants of the newest finished full run, and the names of its resources, to `snapshot`.
///
/// # Errors
/// `Refused` if the file cannot be read, or contains no such run.
pub(in super::super) fn read(path: &Path, snapshot: &mut Snapshot<'_>) -> Result<(), ExportError> {
    let scratch = tempfile::NamedTempFile::new().map_err(|error| ExportError::write(&std::env::temp_dir(), error))?;
    let (mut file, name) = scratch.into_parts();
    if envelope::unpack(path, &mut file)?.is_none() {
        return Err(ExportError::refused(path, "is empty"));
    }
    let opened = Connection::open_with_flags(
        &name,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    );
    let read = opened.and_then(|database| {
        let Some(run) = runs::newest_full(&database)? else {
            return Ok(false);
        };
        resources(&database, &run, snapshot)?;
        grants(&database, &run, snapshot)?;
        Ok(true)
    });
    match read {
        Ok(true) => Ok(()),
        Ok(false) => Err(ExportError::refused(path, "contains no finished full sync")),
        Err(error) => Err(ExportError::refused(path, format!("cannot be read: {error}"))),
    }
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
