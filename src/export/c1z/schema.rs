//! The tables of version 1, as the Baton SDK creates them.

use rusqlite::Connection;

/// A table: its name, and its columns with their declarations. The first column is always the key.
pub(super) struct Table {
    pub(super) name: &'static str,
    columns: &'static [(&'static str, &'static str)],
}

const KEY: (&str, &str) = ("id", "integer primary key");
const TEXT: &str = "text not null";
const RUN: (&str, &str) = ("sync_id", TEXT);
const FOUND: (&str, &str) = ("discovered_at", "datetime not null");
const ID: (&str, &str) = ("external_id", TEXT);
const DATA: (&str, &str) = ("data", "blob not null");
const EMPTY: &str = "text not null default ''";

/// Tables of which every row belongs to a run.
pub(super) const OF_RUNS: [Table; 6] = [
    Table {
        name: "v1_resource_types",
        columns: &[KEY, ID, DATA, RUN, FOUND],
    },
    Table {
        name: "v1_resources",
        columns: &[
            KEY,
            ("resource_type_id", TEXT),
            ID,
            ("parent_resource_type_id", "text"),
            ("parent_resource_id", "text"),
            DATA,
            RUN,
            FOUND,
        ],
    },
    Table {
        name: "v1_entitlements",
        columns: &[
            KEY,
            ("resource_type_id", TEXT),
            ("resource_id", TEXT),
            ID,
            DATA,
            RUN,
            FOUND,
        ],
    },
    Table {
        name: "v1_grants",
        columns: &[
            KEY,
            ("resource_type_id", TEXT),
            ("resource_id", TEXT),
            ("entitlement_id", TEXT),
            ("principal_resource_type_id", TEXT),
            ("principal_resource_id", TEXT),
            ID,
            ("expansion", "blob"),
            ("needs_expansion", "integer not null default 0"),
            DATA,
            RUN,
            FOUND,
        ],
    },
    Table {
        name: "v1_assets",
        columns: &[KEY, ID, ("content_type", TEXT), DATA, RUN, FOUND],
    },
    Table {
        name: "v1_connector_sessions",
        columns: &[KEY, RUN, ("key", TEXT), ("value", "blob not null")],
    },
];

/// The table of the runs themselves.
const RUNS: Table = Table {
    name: "v1_sync_runs",
    columns: &[
        KEY,
        RUN,
        ("started_at", "datetime not null"),
        ("ended_at", "datetime"),
        ("sync_token", TEXT),
        ("sync_type", "text not null default 'full'"),
        ("parent_sync_id", EMPTY),
        ("linked_sync_id", EMPTY),
        ("supports_diff", "integer not null default 0"),
        ("grants_backfilled", "integer not null default 0"),
        ("stats", "text"),
        ("ingest_invariant_generation", EMPTY),
        ("ingest_invariant_coverage", EMPTY),
        ("ingest_invariant_mode", EMPTY),
    ],
};

/// Every index: whether it is unique, its name, and its columns. Two names are swapped, as they are in the SDK.
const INDEXES: [(bool, &str, &str); 16] = [
    (
        true,
        "idx_resource_types_external_sync_v1",
        "v1_resource_types (external_id, sync_id)",
    ),
    (
        true,
        "idx_resources_parent_resource_id_v1",
        "v1_resources (external_id, sync_id)",
    ),
    (
        true,
        "idx_entitlements_external_sync_v1",
        "v1_entitlements (external_id, sync_id)",
    ),
    (true, "idx_grants_external_sync_v1", "v1_grants (external_id, sync_id)"),
    (true, "idx_assets_external_sync_v1", "v1_assets (external_id, sync_id)"),
    (
        true,
        "idx_session_store_sync_key_v1",
        "v1_connector_sessions (sync_id, key)",
    ),
    (true, "idx_sync_runs_sync_id_v1", "v1_sync_runs (sync_id)"),
    (
        false,
        "idx_resources_resource_type_id_v1",
        "v1_resources (resource_type_id)",
    ),
    (
        false,
        "idx_resources_external_sync_v1",
        "v1_resources (parent_resource_type_id, parent_resource_id)",
    ),
    (
        false,
        "idx_entitlements_resource_id_v1",
        "v1_entitlements (resource_type_id, resource_id)",
    ),
    (
        false,
        "idx_grants_resource_type_id_resource_id_v1",
        "v1_grants (resource_type_id, resource_id)",
    ),
    (
        false,
        "idx_grants_principal_id_v1",
        "v1_grants (principal_resource_type_id, principal_resource_id)",
    ),
    (
        false,
        "idx_grants_entitlement_id_principal_id_v1",
        "v1_grants (entitlement_id, principal_resource_type_id, principal_resource_id)",
    ),
    (
        false,
        "idx_grants_entitlement_sync_grant_v1",
        "v1_grants (entitlement_id, sync_id, id)",
    ),
    (
        false,
        "idx_grants_sync_expansion_v1",
        "v1_grants (sync_id) where expansion is not null",
    ),
    (
        false,
        "idx_grants_sync_needs_expansion_v1",
        "v1_grants (sync_id) where needs_expansion = 1",
    ),
];

/// Creates what is missing: all tables of a new database, or the columns that an older writer did not know.
pub(super) fn make_tables(database: &Connection) -> rusqlite::Result<()> {
    for Table { name, columns } in OF_RUNS.iter().chain([&RUNS]) {
        let declared: Vec<String> = columns
            .iter()
            .map(|(column, kind)| format!("{column} {kind}"))
            .collect();
        database.execute_batch(&format!("create table if not exists {name} ({})", declared.join(", ")))?;
        let mut known = database.prepare("select name from pragma_table_info(?1)")?;
        let known: Vec<String> = known.query_map([name], |row| row.get(0))?.collect::<Result<_, _>>()?;
        for (column, kind) in columns
            .iter()
            .filter(|(column, _)| !known.iter().any(|known| known == column))
        {
            database.execute_batch(&format!("alter table {name} add column {column} {kind}"))?;
        }
    }
    Ok(())
}

/// Drops the indexes: inserting rows is faster without them, and creating an index at the end sorts its rows once.
pub(super) fn drop_indexes(database: &Connection) -> rusqlite::Result<()> {
    INDEXES
        .iter()
        .try_for_each(|(_, name, _)| database.execute_batch(&format!("drop index if exists {name}")))
}

/// Creates every index.
///
/// # Errors
/// Any database error, including a run with two rows of the same id.
pub(super) fn make_indexes(database: &Connection) -> rusqlite::Result<()> {
    INDEXES.iter().try_for_each(|(is_unique, name, on)| {
        let unique = if *is_unique { "unique " } else { "" };
        database.execute_batch(&format!("create {unique}index if not exists {name} on {on}"))
    })
}
