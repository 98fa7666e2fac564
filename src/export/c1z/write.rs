//! Adds one run to a file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use prost::{Message, Name};
use prost_types::Any;
use rusqlite::{Connection, ErrorCode, OpenFlags, params};
use serde_json::json;

use super::{envelope, runs, schema};
use crate::export::names::type_and_id;
use crate::export::output::Complete;
use crate::export::part::PartFile;
use crate::export::sync::new_sync_id;
use crate::export::{ExportError, Row, RunType, Sink};
use crate::proto::c1::connector::v2::{Entitlement, Grant, GrantExpandable, Resource, ResourceType};

/// A scratch file needs no journal, because it is discarded after any failure. A small cache is enough, because rows are only added.
const PRAGMAS: &str = "pragma page_size = 4096; pragma locking_mode = exclusive; pragma journal_mode = off; \
                       pragma synchronous = off; pragma cache_size = -2048;";

/// The database of a c1z that is being written. Its file has no name on the disk, so a killed process leaves nothing behind.
pub(in crate::export) struct Database {
    destination: PathBuf,
    connection: Connection,
    /// The database file that `connection` writes.
    scratch: File,
    /// The file that becomes the c1z.
    out: File,
    sync_id: String,
    statistics: Statistics,
}

/// The number of rows of the run, in total and by resource type.
#[derive(Debug, Default)]
struct Statistics {
    resource_types: u64,
    resources: BTreeMap<String, u64>,
    entitlements: BTreeMap<String, u64>,
    grants: BTreeMap<String, u64>,
}

impl Database {
    /// Begins a run of this type in a copy of the c1z at `path`, or in a new one.
    ///
    /// # Errors
    /// `Refused` if the existing file is not a c1z of version 1, or the failure to write there.
    pub(in crate::export) fn begin(path: &Path, run: RunType) -> Result<(PartFile, Self), ExportError> {
        let (part, mut scratch) = PartFile::create(path)?;
        let destination = part.destination().to_owned();
        let existed = envelope::unpack(&destination, &mut scratch)?.is_some();
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let begun = Connection::open_with_flags(part.path(), flags).and_then(|connection| {
            connection.execute_batch(PRAGMAS)?;
            let sync_id = begin_run(&connection, run)?;
            Ok((connection, sync_id))
        });
        let (connection, sync_id) = begun.map_err(|error| match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) if existed => ExportError::refused(
                &destination,
                format!("holds a damaged database ({error}): give another path"),
            ),
            _ => ExportError::database(&destination, error),
        })?;
        let (part, out) = part.renew()?;
        let database = Self {
            destination,
            connection,
            scratch,
            out,
            sync_id,
            statistics: Statistics::default(),
        };
        Ok((part, database))
    }

    fn insert(&mut self, row: Row<'_>) -> rusqlite::Result<()> {
        match row {
            Row::ResourceType(kind) => self.resource_type(kind),
            Row::Resource(resource) => self.resource(resource),
            Row::Entitlement(entitlement) => self.entitlement(entitlement),
            Row::Grant(grant) => self.grant(grant),
        }
    }

    fn resource_type(&mut self, kind: &ResourceType) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached(
                "insert into v1_resource_types (external_id, data, sync_id, discovered_at) values (?1, ?2, ?3, ?4)",
            )?
            .execute(params![kind.id, kind.encode_to_vec(), self.sync_id, now()])?;
        self.statistics.resource_types += 1;
        Ok(())
    }

    fn resource(&mut self, resource: &Resource) -> rusqlite::Result<()> {
        let (kind, id) = type_and_id(resource.id.as_ref());
        let (parent_kind, parent) = resource
            .parent_resource_id
            .as_ref()
            .map(|id| (&id.resource_type, &id.resource))
            .unzip();
        self.connection
            .prepare_cached(
                "insert into v1_resources (resource_type_id, external_id, parent_resource_type_id, parent_resource_id, \
                 data, sync_id, discovered_at) values (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                kind,
                format!("{kind}:{id}"),
                parent_kind,
                parent,
                resource.encode_to_vec(),
                self.sync_id,
                now()
            ])?;
        count(&mut self.statistics.resources, kind);
        Ok(())
    }

    fn entitlement(&mut self, entitlement: &Entitlement) -> rusqlite::Result<()> {
        let (kind, id) = resource_of(Some(entitlement));
        self.connection
            .prepare_cached(
                "insert into v1_entitlements (resource_type_id, resource_id, external_id, data, sync_id, discovered_at) \
                 values (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                kind,
                id,
                entitlement.id,
                entitlement.encode_to_vec(),
                self.sync_id,
                now()
            ])?;
        count(&mut self.statistics.entitlements, kind);
        Ok(())
    }

    fn grant(&mut self, grant: &Grant) -> rusqlite::Result<()> {
        let (kind, id) = resource_of(grant.entitlement.as_ref());
        let entitlement = grant.entitlement.as_ref().map(|held| held.id.as_str());
        let (principal_kind, principal) =
            type_and_id(grant.principal.as_ref().and_then(|principal| principal.id.as_ref()));
        let (expansion, data) = without_expansion(grant);
        let needs_expansion = expansion.is_some();
        self.connection
            .prepare_cached(
                "insert into v1_grants (resource_type_id, resource_id, entitlement_id, principal_resource_type_id, \
                 principal_resource_id, external_id, expansion, needs_expansion, data, sync_id, discovered_at) \
                 values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            )?
            .execute(params![
                kind,
                id,
                entitlement.unwrap_or_default(),
                principal_kind,
                principal,
                grant.id,
                expansion,
                needs_expansion,
                data,
                self.sync_id,
                now()
            ])?;
        count(&mut self.statistics.grants, kind);
        Ok(())
    }

    /// Marks the run as finished. Readers ignore an unfinished run.
    fn seal(&self) -> rusqlite::Result<()> {
        self.connection.execute(
            "update v1_sync_runs set ended_at = ?1, stats = ?2, supports_diff = 1, grants_backfilled = 1 \
             where sync_id = ?3",
            params![now(), self.statistics.to_json(), self.sync_id],
        )?;
        schema::make_indexes(&self.connection)?;
        self.connection.execute_batch("commit")?;
        runs::shrink(&self.connection)
    }
}

impl Sink for Database {
    fn write(&mut self, row: Row<'_>) -> Result<(), ExportError> {
        self.insert(row)
            .map_err(|error| ExportError::database(&self.destination, error))
    }
}

impl Complete for Database {
    fn complete(self: Box<Self>) -> Result<(), ExportError> {
        self.seal()
            .map_err(|error| ExportError::database(&self.destination, error))?;
        let Self {
            destination,
            connection,
            scratch,
            out,
            ..
        } = *self;
        connection.flush_prepared_statement_cache();
        connection
            .close()
            .map_err(|(_, error)| ExportError::database(&destination, error))?;
        envelope::pack(&scratch, out).map_err(|error: io::Error| ExportError::write(&destination, error))
    }
}

impl Statistics {
    fn to_json(&self) -> String {
        let sum = |by_type: &BTreeMap<String, u64>| by_type.values().sum::<u64>();
        json!({
            "resource_types": self.resource_types,
            "resources": sum(&self.resources),
            "entitlements": sum(&self.entitlements),
            "grants": sum(&self.grants),
            "resources_by_resource_type": self.resources,
            "entitlements_by_resource_type": self.entitlements,
            "grants_by_resource_type": self.grants,
        })
        .to_string()
    }
}

/// Deletes old runs and inserts the new one. Returns its id.
fn begin_run(database: &Connection, run: RunType) -> rusqlite::Result<String> {
    database.execute_batch("begin exclusive")?;
    schema::make_tables(database)?;
    schema::drop_indexes(database)?;
    runs::prune(database, run)?;
    let parent = match run {
        RunType::Partial => runs::newest_full(database)?,
        RunType::Full | RunType::ResourcesOnly => None,
    };
    let sync_id = new_sync_id();
    database.execute(
        "insert into v1_sync_runs (sync_id, started_at, sync_token, sync_type, parent_sync_id) values (?1, ?2, '', ?3, ?4)",
        params![sync_id, now(), run.as_str(), parent.unwrap_or_default()],
    )?;
    Ok(sync_id)
}

/// The current time in the format's notation: UTC in nanoseconds, without a zone.
fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%d %H:%M:%S%.9f").to_string()
}

fn count(by_type: &mut BTreeMap<String, u64>, kind: &str) {
    match by_type.get_mut(kind) {
        Some(count) => *count += 1,
        None => drop(by_type.insert(kind.to_owned(), 1)),
    }
}

fn resource_of(entitlement: Option<&Entitlement>) -> (&str, &str) {
    type_and_id(entitlement.and_then(|entitlement| entitlement.resource.as_ref()?.id.as_ref()))
}

/// Splits a grant into its expansion and the rest: readers look for the expansion only in its own column.
fn without_expansion(grant: &Grant) -> (Option<Vec<u8>>, Vec<u8>) {
    let url = GrantExpandable::type_url();
    let is_expansion = |annotation: &Any| annotation.type_url == url;
    let Some(expansion) = grant.annotations.iter().find(|annotation| is_expansion(annotation)) else {
        return (None, grant.encode_to_vec());
    };
    let expansion = expansion.value.clone();
    let mut rest = grant.clone();
    rest.annotations.retain(|annotation| !is_expansion(annotation));
    (Some(expansion), rest.encode_to_vec())
}
