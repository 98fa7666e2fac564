//! The runs in a file: the newest, and those that are kept.

use rusqlite::{Connection, OptionalExtension, params};

use super::schema::OF_RUNS;
use crate::export::RunType;

/// The number of finished full runs that a file keeps, including the new one.
const MAX_RUNS: i64 = 2;

/// The id of the newest finished full run, if any.
pub(super) fn newest_full(database: &Connection) -> rusqlite::Result<Option<String>> {
    let newest = "select sync_id from v1_sync_runs where ended_at is not null and sync_type = 'full' \
                  order by ended_at desc, id desc limit 1";
    database.query_row(newest, [], |row| row.get(0)).optional()
}

/// Deletes old runs before a run of this type is added. Kept are the newest finished full runs, [`MAX_RUNS`] including the new one,
/// and the runs that finished after the newest of them.
pub(super) fn prune(database: &Connection, new: RunType) -> rusqlite::Result<()> {
    let kept = if new == RunType::Full { MAX_RUNS - 1 } else { MAX_RUNS };
    let dropped = "select sync_id from v1_sync_runs where sync_id not in ( \
                     select sync_id from v1_sync_runs where ended_at is not null and sync_type = 'full' \
                     order by ended_at desc, id desc limit ?1) \
                   and (ended_at is null or sync_type = 'full' or ended_at < coalesce(( \
                     select max(ended_at) from v1_sync_runs where sync_type = 'full'), ''))";
    let dropped: Vec<String> = database
        .prepare(dropped)?
        .query_map(params![kept], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for run in dropped {
        for table in OF_RUNS.iter().map(|table| table.name).chain(["v1_sync_runs"]) {
            database.execute(&format!("delete from {table} where sync_id = ?1"), [&run])?;
        }
    }
    Ok(())
}

/// Releases the space of deleted runs, if it is enough to justify rewriting the file.
pub(super) fn shrink(database: &Connection) -> rusqlite::Result<()> {
    let pages = |pragma| database.query_row(&format!("pragma {pragma}"), [], |row| row.get::<_, i64>(0));
    if pages("freelist_count")? * 4 > pages("page_count")? {
        database.execute_batch("vacuum")?;
    }
    Ok(())
}
